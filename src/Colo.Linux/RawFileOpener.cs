using System.Runtime.InteropServices;
using Colo.Blocks;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>Opens, locks and looks over a file before it becomes a disk; every refusal is a <see cref="FileOpenException"/>.</summary>
internal static class RawFileOpener
{
    private const int MaxWorkersAllowed = 64;

    /// <summary>rw for the owner alone: a disk image holds everything that the guest has.</summary>
    private const uint CreateMode = 0x180;

    /// <summary>Where nobody tells: no disk in use has larger blocks, and it is the page.</summary>
    private const int AssumedBlockBytes = 4096;

    public static RawFile Open(string path, RawFileOptions options)
    {
        // O_NONBLOCK: a FIFO would hold us here for ever; files and disks do not look at it. O_EXCL without O_CREAT: a block device that
        // is mounted, or that another has opened so, refuses; for files it says nothing.
        int access = options.ReadOnly ? Constants.O_RDONLY : Constants.O_RDWR | Constants.O_EXCL;
        return OpenWith(path, options, access | Constants.O_NONBLOCK, static _ => { });
    }

    public static RawFile Create(string path, long lengthBytes, bool preallocate, RawFileOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(lengthBytes);
        if (options.ReadOnly)
        {
            throw new ArgumentException("a file is created to be written", nameof(options));
        }

        bool created = false;
        try
        {
            return OpenWith(path, options, Constants.O_RDWR | Constants.O_CREAT | Constants.O_EXCL, descriptor =>
            {
                created = true;
                Shape(descriptor, path, lengthBytes, preallocate);
            });
        }
        catch (FileOpenException) when (created)
        {
            _ = Libc.Unlink(path);
            throw;
        }
    }

    private static RawFile OpenWith(string path, RawFileOptions options, int flags, Action<FileDescriptor> afterLock)
    {
        if (options.MaxWorkers is < 1 or > MaxWorkersAllowed)
        {
            throw new ArgumentOutOfRangeException(nameof(options), options.MaxWorkers, $"MaxWorkers: 1 to {MaxWorkersAllowed}");
        }

        string fullPath = Path.GetFullPath(path);
        int fd = Libc.Open(fullPath, flags | Constants.O_CLOEXEC | (options.DirectIo ? Constants.O_DIRECT : 0), CreateMode);
        if (fd < 0)
        {
            throw OpenFailed(fullPath, options, Marshal.GetLastPInvokeError());
        }

        FileDescriptor descriptor = new(fd);
        try
        {
            // The kind before the lock: others lock what is no disk, such as /dev/null, for their own reasons.
            RefuseWhatIsNoDisk(descriptor, fullPath);
            if (options.Lock)
            {
                FileLocks.Take(descriptor, fullPath, exclusive: !options.ReadOnly);
            }

            afterLock(descriptor);
            return new RawFile(descriptor, LookOver(descriptor, fullPath, options), options.MaxWorkers);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    private static void Shape(FileDescriptor descriptor, string path, long lengthBytes, bool preallocate)
    {
        BlockStatus status = descriptor.SetLength(lengthBytes);
        if (status == BlockStatus.Ok && preallocate && lengthBytes > 0)
        {
            status = descriptor.Allocate(0, new BlockRange(0, lengthBytes));
        }

        if (status == BlockStatus.Ok)
        {
            status = descriptor.SyncAll();
        }

        if (status == BlockStatus.Ok)
        {
            status = Directories.Sync(Path.GetDirectoryName(Path.GetFullPath(path))!);
        }

        if (status != BlockStatus.Ok)
        {
            throw new FileOpenException(
                status == BlockStatus.NoSpace ? FileOpenError.NoSpace : FileOpenError.Other,
                path,
                $"cannot be created with {lengthBytes} bytes{(preallocate ? ", preallocated" : string.Empty)}: {status}");
        }
    }

    private static void RefuseWhatIsNoDisk(FileDescriptor descriptor, string path)
    {
        if (KindOf(Stat(descriptor, path)) is not (Constants.S_IFREG or Constants.S_IFBLK))
        {
            throw new FileOpenException(FileOpenError.NotADisk, path, "is neither a regular file nor a block device");
        }
    }

    private static StatxBuffer Stat(FileDescriptor descriptor, string path)
    {
        int errno = descriptor.Stat(out StatxBuffer stat);
        return errno == 0 ? stat : throw Failed(FileOpenError.Other, path, "cannot be looked at", errno);
    }

    private static int KindOf(in StatxBuffer stat) => stat.Mode & Constants.S_IFMT;

    private static FileFacts LookOver(FileDescriptor descriptor, string path, RawFileOptions options)
    {
        StatxBuffer stat = Stat(descriptor, path);
        bool isBlockDevice = KindOf(stat) == Constants.S_IFBLK;
        long length = isBlockDevice ? descriptor.BlockDeviceLength() : (long)stat.Size;
        int block = LogicalBlockBytes(descriptor, stat, isBlockDevice, options.DirectIo);
        if (options.DirectIo && length % block != 0)
        {
            throw new FileOpenException(
                FileOpenError.BadLength,
                path,
                $"is {length} bytes long; O_DIRECT needs a multiple of {block} bytes here (grow it to {(length / block + 1) * block})");
        }

        return new FileFacts(
            path,
            isBlockDevice,
            options.ReadOnly,
            options.DirectIo ? ReadPath.Direct : ReadPathOf(descriptor),
            length,
            block,
            stat.DirectMemoryAlignment > 0 ? (int)stat.DirectMemoryAlignment : block,
            Math.Max(AssumedBlockBytes, block),
            !options.ReadOnly && (isBlockDevice ? BlockQueue.CanZeroAndDiscard(stat) : CanPunchHoles(descriptor, length)));
    }

    private static int LogicalBlockBytes(FileDescriptor descriptor, StatxBuffer stat, bool isBlockDevice, bool directIo)
    {
        if (isBlockDevice && descriptor.LogicalBlockBytes() is > 0 and int sector)
        {
            return sector;
        }

        // A file system that does not say how O_DIRECT is to be aligned (before Linux 6.1) gets what satisfies all of them.
        return directIo && stat.DirectOffsetAlignment > 0 ? (int)stat.DirectOffsetAlignment : AssumedBlockBytes;
    }

    /// <summary>One byte tells whether the file system knows RWF_NOWAIT; an empty file reads nothing and knows it just as well.</summary>
    private static ReadPath ReadPathOf(FileDescriptor descriptor)
    {
        if (descriptor.FileSystemMagic() is Constants.TMPFS_MAGIC or Constants.RAMFS_MAGIC)
        {
            return ReadPath.InMemory;
        }

        return descriptor.ReadCached(0, stackalloc byte[1]) is -Errno.EOPNOTSUPP or -Errno.ENOSYS or -Errno.EINVAL
            ? ReadPath.Worker
            : ReadPath.TryCached;
    }

    /// <summary>Punches where there is nothing: behind the end.</summary>
    private static bool CanPunchHoles(FileDescriptor descriptor, long lengthBytes) => descriptor.Allocate(
        Constants.FALLOC_FL_PUNCH_HOLE | Constants.FALLOC_FL_KEEP_SIZE,
        new BlockRange((lengthBytes / AssumedBlockBytes + 1) * AssumedBlockBytes, AssumedBlockBytes)) == BlockStatus.Ok;

    private static FileOpenException OpenFailed(string path, RawFileOptions options, int errno) => errno switch
    {
        Errno.ENOENT or Errno.ENOTDIR => Failed(FileOpenError.NotFound, path, "is not there", errno),
        Errno.EEXIST => Failed(FileOpenError.AlreadyExists, path, "exists already and is not overwritten; open or remove it", errno),
        Errno.EISDIR or Errno.ENXIO => Failed(FileOpenError.NotADisk, path, "is neither a regular file nor a block device", errno),
        Errno.EBUSY => Failed(FileOpenError.Busy, path, "is in use by the kernel (mounted?) or held exclusively by another", errno),
        Errno.ENOSPC or Errno.EDQUOT => Failed(FileOpenError.NoSpace, path, "there is no space to create it", errno),
        Errno.EPERM or Errno.EACCES or Errno.EROFS =>
            Failed(FileOpenError.AccessDenied, path, options.ReadOnly ? "may not be read" : "may not be written (read-only would do?)", errno),
        Errno.EINVAL when options.DirectIo =>
            Failed(FileOpenError.DirectIoUnsupported, path, "its file system refuses O_DIRECT; open it through the page cache", errno),
        _ => Failed(FileOpenError.Other, path, "cannot be opened", errno),
    };

    private static FileOpenException Failed(FileOpenError error, string path, string cause, int errno) =>
        new(error, path, $"{cause} ({Marshal.GetPInvokeErrorMessage(errno)})");
}
