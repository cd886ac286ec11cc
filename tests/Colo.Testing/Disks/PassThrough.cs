using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Text;

namespace Colo.Testing.Disks;

/// <summary>
/// A file system that is another directory, as long as <see cref="DiskFaults"/> lets a request through. Nothing is kept back: a write that was
/// answered is below. The kernel keeps the locks of files itself.
/// </summary>
internal sealed class PassThrough(string directory, DiskFaults faults) : IDisposable
{
    /// <summary>What needs no answer.</summary>
    public const int NoAnswer = int.MinValue;
    public const int MostWriteBytes = 128 << 10;

    private const uint SetMode = 1, SetUser = 2, SetGroup = 4, SetSize = 8, SetAccess = 16, SetModified = 32, SetAccessNow = 128, SetModifiedNow = 256;

    private readonly FuseNodes nodes = new(directory);
    private readonly ConcurrentDictionary<ulong, string[]> listings = new();
    private ulong lastListing;

    public void Dispose() => nodes.Dispose();

    /// <param name="request">As it came.</param>
    /// <param name="reply">For the answer's body.</param>
    /// <returns>The length of that, an errno below zero, or <see cref="NoAnswer"/>.</returns>
    public int Handle(FuseRequest request, Span<byte> reply) => faults.Meet(request.Opcode) is var fault and not 0 ? -fault : request.Opcode switch
    {
        FuseOpcode.Initialize => Initialize(request, reply),
        FuseOpcode.Lookup => Entry(request.Node, request.Name(0), reply),
        FuseOpcode.Forget => Forget(request.Node, request.UInt64(0)),
        FuseOpcode.BatchForget => ForgetMany(request),
        FuseOpcode.GetAttributes => Attributes(request.Node, reply),
        FuseOpcode.Statx => StatxOf(request.Node, reply),
        FuseOpcode.SetAttributes => SetAttributes(request, reply),
        FuseOpcode.MakeDirectory => MakeDirectory(request, reply),
        FuseOpcode.Unlink => Posix.UnlinkAt(nodes.Descriptor(request.Node), request.Name(0), 0),
        FuseOpcode.RemoveDirectory => Posix.UnlinkAt(nodes.Descriptor(request.Node), request.Name(0), Posix.AT_REMOVEDIR),
        FuseOpcode.Rename => Rename(request, namesAt: 8, flags: 0),
        FuseOpcode.Rename2 => Rename(request, namesAt: 16, request.UInt32(8)),
        FuseOpcode.Open => Open(request, reply),
        FuseOpcode.Create => Create(request, reply),
        FuseOpcode.Read => Posix.ReadAt(Handle(request), reply[..(int)request.UInt32(16)], request.Int64(8)),
        FuseOpcode.Write => Write(request, reply),
        FuseOpcode.Fsync => Posix.Sync(Handle(request)),
        FuseOpcode.Fallocate => Posix.Allocate(Handle(request), (int)request.UInt32(24), request.Int64(8), request.Int64(16)),
        FuseOpcode.Seek => Seek(request, reply),
        FuseOpcode.Release => Posix.Close(Handle(request)),
        FuseOpcode.StatFs => FileSystem(reply),
        FuseOpcode.OpenDirectory => OpenDirectory(request, reply),
        FuseOpcode.ReadDirectory => ReadDirectory(request, reply),
        FuseOpcode.ReleaseDirectory => listings.TryRemove(request.UInt64(0), out _) ? 0 : 0,
        FuseOpcode.FsyncDirectory => 0,
        FuseOpcode.Interrupt => NoAnswer,
        _ => -Posix.ENOSYS,
    };

    private static int Handle(FuseRequest request) => (int)request.UInt64(0);

    /// <summary>fuse_init_out. No cache of writes in the kernel: what it would lose after an error is another test's matter.</summary>
    private static int Initialize(FuseRequest request, Span<byte> reply)
    {
        const uint AsyncRead = 1, BigWrites = 1 << 5;
        reply[..64].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(reply, 7);
        BinaryPrimitives.WriteUInt32LittleEndian(reply[4..], Math.Min(request.UInt32(4), 39));
        BinaryPrimitives.WriteUInt32LittleEndian(reply[8..], request.UInt32(8));
        BinaryPrimitives.WriteUInt32LittleEndian(reply[12..], request.UInt32(12) & (AsyncRead | BigWrites));
        BinaryPrimitives.WriteUInt16LittleEndian(reply[16..], 16);
        BinaryPrimitives.WriteUInt16LittleEndian(reply[18..], 12);
        BinaryPrimitives.WriteUInt32LittleEndian(reply[20..], MostWriteBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(reply[24..], 1);
        return 64;
    }

    private int Entry(ulong parent, string name, Span<byte> reply)
    {
        Span<byte> statx = stackalloc byte[Posix.StatxBytes];
        long node = nodes.LookUp(parent, name, statx);
        return node < 0 ? (int)node : FuseReply.Entry(reply, (ulong)node, statx);
    }

    private int Forget(ulong node, ulong lookups)
    {
        nodes.Forget(node, lookups);
        return NoAnswer;
    }

    private int ForgetMany(FuseRequest request)
    {
        for (int i = 0; i < request.UInt32(0); i++)
        {
            nodes.Forget(request.UInt64(8 + (16 * i)), request.UInt64(16 + (16 * i)));
        }

        return NoAnswer;
    }

    private int Attributes(ulong node, Span<byte> reply)
    {
        Span<byte> statx = stackalloc byte[Posix.StatxBytes];
        int status = Posix.Stat(nodes.Descriptor(node), statx);
        return status < 0 ? status : FuseReply.AttributesOf(reply, statx);
    }

    private int StatxOf(ulong node, Span<byte> reply)
    {
        Span<byte> statx = stackalloc byte[Posix.StatxBytes];
        int status = Posix.Stat(nodes.Descriptor(node), statx);
        return status < 0 ? status : FuseReply.Statx(reply, statx);
    }

    private int SetAttributes(FuseRequest request, Span<byte> reply)
    {
        uint valid = request.UInt32(0);
        string path = nodes.PathOf(request.Node);
        int status = (valid & SetMode) != 0 ? Posix.ChangeMode(path, request.UInt32(68) & 0xfff) : 0;
        if (status >= 0 && (valid & (SetUser | SetGroup)) != 0)
        {
            status = Posix.ChangeOwner(path, (valid & SetUser) != 0 ? request.UInt32(76) : uint.MaxValue, (valid & SetGroup) != 0 ? request.UInt32(80) : uint.MaxValue);
        }

        if (status >= 0 && (valid & SetSize) != 0)
        {
            status = Posix.Truncate(path, request.Int64(16));
        }

        if (status >= 0 && (valid & (SetAccess | SetModified)) != 0)
        {
            status = Posix.SetTimes(path,
            [
                request.Int64(32), (valid & SetAccess) == 0 ? Posix.UTIME_OMIT : (valid & SetAccessNow) != 0 ? Posix.UTIME_NOW : request.UInt32(56),
                request.Int64(40), (valid & SetModified) == 0 ? Posix.UTIME_OMIT : (valid & SetModifiedNow) != 0 ? Posix.UTIME_NOW : request.UInt32(60),
            ]);
        }

        return status < 0 ? status : Attributes(request.Node, reply);
    }

    private int MakeDirectory(FuseRequest request, Span<byte> reply)
    {
        string name = request.Name(8);
        int status = Posix.MakeDirectoryAt(nodes.Descriptor(request.Node), name, request.UInt32(0));
        return status < 0 ? status : Entry(request.Node, name, reply);
    }

    private int Rename(FuseRequest request, int namesAt, uint flags)
    {
        string from = request.Name(namesAt, out int next);
        return Posix.RenameAt(nodes.Descriptor(request.Node), from, nodes.Descriptor(request.UInt64(0)), request.Name(next), flags);
    }

    private int Open(FuseRequest request, Span<byte> reply)
    {
        int flags = (int)request.UInt32(0) & ~(Posix.O_CREAT | Posix.O_EXCL | Posix.O_NOFOLLOW | Posix.O_DIRECT);
        int fd = Posix.Open(nodes.PathOf(request.Node), flags);
        return fd < 0 ? fd : FuseReply.Opened(reply, (ulong)fd);
    }

    private int Create(FuseRequest request, Span<byte> reply)
    {
        string name = request.Name(16);
        int fd = Posix.OpenAt(nodes.Descriptor(request.Node), name, ((int)request.UInt32(0) & ~Posix.O_DIRECT) | Posix.O_CREAT, request.UInt32(4));
        int entry = fd < 0 ? fd : Entry(request.Node, name, reply);
        if (entry < 0)
        {
            _ = fd < 0 ? 0 : Posix.Close(fd);
            return entry;
        }

        return entry + FuseReply.Opened(reply[entry..], (ulong)fd);
    }

    private static int Write(FuseRequest request, Span<byte> reply)
    {
        int written = Posix.WriteAt(Handle(request), request.Body.Slice(40, (int)request.UInt32(16)), request.Int64(8));
        BinaryPrimitives.WriteInt64LittleEndian(reply, Math.Max(written, 0));
        return written < 0 ? written : 8;
    }

    private static int Seek(FuseRequest request, Span<byte> reply)
    {
        long at = Posix.Seek(Handle(request), request.Int64(8), (int)request.UInt32(16));
        BinaryPrimitives.WriteInt64LittleEndian(reply, at);
        return at < 0 ? (int)at : 8;
    }

    private int FileSystem(Span<byte> reply)
    {
        Span<long> statfs = stackalloc long[15];
        int status = Posix.StatFs(nodes.Descriptor(FuseNodes.Root), statfs);
        return status < 0 ? status : FuseReply.FileSystem(reply, statfs);
    }

    private int OpenDirectory(FuseRequest request, Span<byte> reply)
    {
        ulong listing = Interlocked.Increment(ref lastListing);
        listings[listing] = [.. Directory.EnumerateFileSystemEntries(nodes.PathOf(request.Node)).Select(p => Path.GetFileName(p))];
        return FuseReply.Opened(reply, listing);
    }

    /// <summary>fuse_dirent: the kind of each is asked for by a look-up.</summary>
    private int ReadDirectory(FuseRequest request, Span<byte> reply)
    {
        string[] names = listings[request.UInt64(0)];
        int room = (int)request.UInt32(16), length = 0;
        for (int i = (int)request.UInt64(8); i < names.Length; i++)
        {
            int nameBytes = Encoding.UTF8.GetByteCount(names[i]), whole = (24 + nameBytes + 7) & ~7;
            if (length + whole > room)
            {
                break;
            }

            Span<byte> entry = reply.Slice(length, whole);
            entry.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(entry, uint.MaxValue);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], (ulong)i + 1);
            BinaryPrimitives.WriteInt32LittleEndian(entry[16..], nameBytes);
            Encoding.UTF8.GetBytes(names[i], entry[24..]);
            length += whole;
        }

        return length;
    }
}
