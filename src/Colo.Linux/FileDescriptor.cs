using System.Runtime.InteropServices;
using Colo.Blocks;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>
/// An open file descriptor: whole transfers (partial ones are continued, EINTR is repeated) and the calls on it, each answering a
/// status. Holds the only close: it comes when the last call in flight has ended, so no call can meet a number that was reused.
/// </summary>
internal sealed unsafe class FileDescriptor : SafeHandle
{
    /// <summary>Linux moves at most this much in one call; longer ones are cut by us, on a block boundary.</summary>
    private const int MaxTransferBytes = 1 << 30;

    /// <summary>Takes <paramref name="fd"/> over.</summary>
    public FileDescriptor(int fd)
        : base(-1, ownsHandle: true) => SetHandle(fd);

    public override bool IsInvalid => handle == -1;

    private int Number => (int)handle;

    /// <summary>Keeps the descriptor open for one call; false once it is closed. Pair with <see cref="Exit"/>.</summary>
    public bool TryEnter()
    {
        bool entered = false;
        try
        {
            DangerousAddRef(ref entered);
        }
        catch (ObjectDisposedException)
        {
            return false;
        }

        return entered;
    }

    public void Exit() => DangerousRelease();

    /// <summary>
    /// Reads what is in the page cache, without ever waiting for a disk. Returns the bytes read (fewer than asked where the rest is
    /// not cached), or a negative errno.
    /// </summary>
    public int ReadCached(long offsetBytes, Span<byte> destination)
    {
        fixed (byte* start = destination)
        {
            IoVector vector = new() { Base = start, Length = (nuint)destination.Length };
            nint read = Libc.Preadv2(Number, &vector, 1, offsetBytes, Constants.RWF_NOWAIT);
            return read >= 0 ? (int)read : -Marshal.GetLastPInvokeError();
        }
    }

    public BlockStatus Read(long offsetBytes, Span<byte> destination)
    {
        fixed (byte* start = destination)
        {
            int done = 0;
            while (done < destination.Length)
            {
                nint read = Libc.Pread(Number, start + done, Math.Min(destination.Length - done, MaxTransferBytes), offsetBytes + done);
                if (read == 0)
                {
                    // The file was cut short behind our back.
                    return BlockStatus.IoError;
                }

                if (read < 0 && Failed(out BlockStatus status))
                {
                    return status;
                }

                done += Math.Max(0, (int)read);
            }
        }

        return BlockStatus.Ok;
    }

    public BlockStatus Write(long offsetBytes, ReadOnlySpan<byte> source)
    {
        fixed (byte* start = source)
        {
            int done = 0;
            while (done < source.Length)
            {
                nint written = Libc.Pwrite(Number, start + done, Math.Min(source.Length - done, MaxTransferBytes), offsetBytes + done);
                if (written < 0 && Failed(out BlockStatus status))
                {
                    return status;
                }

                done += Math.Max(0, (int)written);
            }
        }

        return BlockStatus.Ok;
    }

    /// <summary>Writes through to stable storage (RWF_DSYNC).</summary>
    public BlockStatus WriteThrough(long offsetBytes, ReadOnlySpan<byte> source)
    {
        fixed (byte* start = source)
        {
            int done = 0;
            while (done < source.Length)
            {
                IoVector vector = new() { Base = start + done, Length = (nuint)Math.Min(source.Length - done, MaxTransferBytes) };
                nint written = Libc.Pwritev2(Number, &vector, 1, offsetBytes + done, Constants.RWF_DSYNC);
                if (written < 0 && Failed(out BlockStatus status))
                {
                    return status;
                }

                done += Math.Max(0, (int)written);
            }
        }

        return BlockStatus.Ok;
    }

    /// <summary>fdatasync. Not repeated on any error: the kernel reports a lost page once.</summary>
    public BlockStatus SyncData() => Result(Libc.Fdatasync(Number));

    public BlockStatus SyncAll() => Result(Libc.Fsync(Number));

    public BlockStatus SetLength(long lengthBytes)
    {
        int result;
        do
        {
            result = Libc.Ftruncate(Number, lengthBytes);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);

        return Result(result);
    }

    public BlockStatus Allocate(int mode, BlockRange range)
    {
        int result;
        do
        {
            result = Libc.Fallocate(Number, mode, range.Offset, range.Length);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);

        return Result(result);
    }

    /// <summary>The next data (or hole) at or behind an offset; the file's end where there is none; negative errno on failure.</summary>
    public long Seek(long offsetBytes, int whence)
    {
        // The file position itself is never used (every transfer names its offset), so concurrent seeks cannot disturb anything.
        long found = Libc.Lseek(Number, offsetBytes, whence);
        return found >= 0 ? found : -Marshal.GetLastPInvokeError();
    }

    public BlockStatus DiscardBlocks(BlockRange range)
    {
        ulong* arguments = stackalloc ulong[] { (ulong)range.Offset, (ulong)range.Length };
        return Result(Libc.Ioctl(Number, Constants.BLKDISCARD, arguments));
    }

    /// <summary>BLKGETSIZE64, or a negative errno.</summary>
    public long BlockDeviceLength()
    {
        ulong length = 0;
        return Libc.Ioctl(Number, Constants.BLKGETSIZE64, &length) < 0 ? -Marshal.GetLastPInvokeError() : (long)length;
    }

    /// <summary>BLKSSZGET, or a negative errno.</summary>
    public int LogicalBlockBytes()
    {
        int size = 0;
        return Libc.Ioctl(Number, Constants.BLKSSZGET, &size) < 0 ? -Marshal.GetLastPInvokeError() : size;
    }

    /// <summary>0 or an errno.</summary>
    public int Stat(out StatxBuffer result)
    {
        fixed (StatxBuffer* buffer = &result)
        {
            const uint Mask = Constants.STATX_BASIC_STATS | Constants.STATX_BTIME | Constants.STATX_DIOALIGN;
            return Libc.Statx(Number, string.Empty, Constants.AT_EMPTY_PATH, Mask, buffer) < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
    }

    /// <summary>The magic of the file system; 0 where it cannot be told.</summary>
    public long FileSystemMagic()
    {
        StatfsBuffer result = default;
        return Libc.Fstatfs(Number, &result) < 0 ? 0 : result.Type;
    }

    /// <summary>Takes an OFD lock on the whole file; 0, or the errno (EAGAIN or EACCES where another holds it).</summary>
    public int TryLock(bool exclusive)
    {
        FileLock wanted = new() { Type = exclusive ? Constants.F_WRLCK : Constants.F_RDLCK };
        return Libc.Fcntl(Number, Constants.F_OFD_SETLK, &wanted) < 0 ? Marshal.GetLastPInvokeError() : 0;
    }

    /// <summary>The process that holds a conflicting lock; null where the kernel does not say (OFD locks have no process).</summary>
    public int? LockHolder(bool exclusive)
    {
        FileLock asked = new() { Type = exclusive ? Constants.F_WRLCK : Constants.F_RDLCK };
        bool known = Libc.Fcntl(Number, Constants.F_OFD_GETLK, &asked) >= 0 && asked.Type != Constants.F_UNLCK && asked.Pid > 0;
        return known ? asked.Pid : null;
    }

    /// <summary>Copies within the kernel; the bytes copied (0 at the source's end), or a negative errno.</summary>
    public long CopyTo(FileDescriptor target, long sourceOffset, long targetOffset, long lengthBytes)
    {
        nint copied = Libc.CopyFileRange(
            Number, &sourceOffset, target.Number, &targetOffset, (nint)Math.Min(lengthBytes, MaxTransferBytes), 0);
        return copied >= 0 ? copied : -Marshal.GetLastPInvokeError();
    }

    protected override bool ReleaseHandle() => Libc.Close((int)handle) == 0;

    /// <summary>Looks at errno after a failed transfer; EINTR is none.</summary>
    private static bool Failed(out BlockStatus status)
    {
        int errno = Marshal.GetLastPInvokeError();
        status = Errno.ToStatus(errno);
        return errno != Errno.EINTR;
    }

    private static BlockStatus Result(int result) =>
        result < 0 ? Errno.ToStatus(Marshal.GetLastPInvokeError()) : BlockStatus.Ok;
}
