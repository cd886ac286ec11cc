using System.Buffers.Binary;
using System.Globalization;

namespace Colo.Testing.Disks;

/// <summary>What the kernel knows by a number of ours: for each an O_PATH descriptor of the file below, until it forgets it.</summary>
internal sealed class FuseNodes : IDisposable
{
    public const ulong Root = 1;

    private readonly Lock gate = new();
    private readonly Dictionary<ulong, Node> byNumber = [];
    private readonly Dictionary<ulong, ulong> numberOfInode = [];
    private ulong last = Root;

    public FuseNodes(string directory)
    {
        int fd = Posix.Open(directory, Posix.O_PATH);
        byNumber[Root] = fd >= 0 ? new Node(fd, 0, 1) : throw new IOException($"{directory}: errno {-fd}");
    }

    public int Descriptor(ulong number)
    {
        lock (gate)
        {
            return byNumber.TryGetValue(number, out Node? node) ? node.Descriptor : -1;
        }
    }

    /// <summary>A path that leads to it, whatever its name is now.</summary>
    public string PathOf(ulong number) => PathOf(Descriptor(number));

    public static string PathOf(int descriptor) => string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor}");

    /// <returns>Its number, one look-up more counted; or an errno below zero.</returns>
    public long LookUp(ulong directory, string name, Span<byte> statx)
    {
        int fd = Posix.OpenAt(Descriptor(directory), name, Posix.O_PATH | Posix.O_NOFOLLOW);
        int status = fd < 0 ? fd : Posix.Stat(fd, statx);
        if (status < 0)
        {
            Close(fd);
            return status;
        }

        ulong inode = BinaryPrimitives.ReadUInt64LittleEndian(statx[32..]);
        lock (gate)
        {
            if (numberOfInode.TryGetValue(inode, out ulong known))
            {
                byNumber[known].Lookups++;
                Close(fd);
                return (long)known;
            }

            byNumber[++last] = new Node(fd, inode, 1);
            numberOfInode[inode] = last;
            return (long)last;
        }
    }

    public void Forget(ulong number, ulong lookups)
    {
        lock (gate)
        {
            if (number != Root && byNumber.TryGetValue(number, out Node? node) && (node.Lookups -= Math.Min(lookups, node.Lookups)) == 0)
            {
                byNumber.Remove(number);
                numberOfInode.Remove(node.Inode);
                Close(node.Descriptor);
            }
        }
    }

    public void Dispose()
    {
        lock (gate)
        {
            foreach (Node node in byNumber.Values)
            {
                Close(node.Descriptor);
            }

            byNumber.Clear();
        }
    }

    private static void Close(int fd)
    {
        if (fd >= 0)
        {
            _ = Posix.Close(fd);
        }
    }

    private sealed class Node(int descriptor, ulong inode, ulong lookups)
    {
        public int Descriptor => descriptor;

        public ulong Inode => inode;

        public ulong Lookups { get; set; } = lookups;
    }
}
