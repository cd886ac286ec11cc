using System.Buffers.Binary;
using System.Text;

namespace Colo.Testing.Disks;

/// <summary>What the kernel asks (linux/fuse.h, protocol 7): those that are answered here. All else is answered ENOSYS, which it lives with.</summary>
internal enum FuseOpcode
{
    Lookup = 1,
    Forget = 2,
    GetAttributes = 3,
    SetAttributes = 4,
    MakeDirectory = 9,
    Unlink = 10,
    RemoveDirectory = 11,
    Rename = 12,
    Open = 14,
    Read = 15,
    Write = 16,
    StatFs = 17,
    Release = 18,
    Fsync = 20,
    Initialize = 26,
    OpenDirectory = 27,
    ReadDirectory = 28,
    ReleaseDirectory = 29,
    FsyncDirectory = 30,
    Create = 35,
    Interrupt = 36,
    BatchForget = 42,
    Fallocate = 43,
    Rename2 = 45,
    Seek = 46,
    Statx = 52,
}

/// <summary>One request as it was read: fuse_in_header (40 bytes), then what its opcode says.</summary>
internal readonly ref struct FuseRequest(ReadOnlySpan<byte> message)
{
    public const int HeaderBytes = 40;

    private readonly ReadOnlySpan<byte> message = message;

    public FuseOpcode Opcode => (FuseOpcode)BinaryPrimitives.ReadUInt32LittleEndian(message[4..]);

    public ulong Unique => BinaryPrimitives.ReadUInt64LittleEndian(message[8..]);

    public ulong Node => BinaryPrimitives.ReadUInt64LittleEndian(message[16..]);

    public ReadOnlySpan<byte> Body => message[HeaderBytes..];

    public uint UInt32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(Body[at..]);

    public ulong UInt64(int at) => BinaryPrimitives.ReadUInt64LittleEndian(Body[at..]);

    public long Int64(int at) => BinaryPrimitives.ReadInt64LittleEndian(Body[at..]);

    /// <summary>The name that begins there, and ends with a zero.</summary>
    public string Name(int at) => Name(at, out _);

    public string Name(int at, out int next)
    {
        ReadOnlySpan<byte> rest = Body[at..];
        int length = rest.IndexOf((byte)0);
        next = at + length + 1;
        return Encoding.UTF8.GetString(rest[..length]);
    }
}
