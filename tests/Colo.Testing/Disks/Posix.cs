using System.Runtime.InteropServices;

namespace Colo.Testing.Disks;

/// <summary>The system calls that a file system passes on; each answers a number, or an errno below zero.</summary>
internal static unsafe partial class Posix
{
    public const int ENOENT = 2, EINTR = 4, EIO = 5, EAGAIN = 11, ENOSYS = 38;
    public const int O_RDWR = 2, O_CREAT = 0x40, O_EXCL = 0x80, O_CLOEXEC = 0x80000, O_PATH = 0x200000;
    public const int AT_REMOVEDIR = 0x200, AT_EMPTY_PATH = 0x1000, AT_SYMLINK_NOFOLLOW = 0x100;
    public const uint StatxAll = 0xfff;
    public const long UTIME_NOW = 0x3fffffff, UTIME_OMIT = 0x3ffffffe;

    private const ulong NoSuidNoDev = 6;

    /// <summary>The two architectures differ in these.</summary>
    public static readonly int O_DIRECT = IsArm ? 0x10000 : 0x4000, O_NOFOLLOW = IsArm ? 0x8000 : 0x20000;

    private static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm64;

    /// <summary>Of struct statx, and of the protocol's fuse_statx, which is the same.</summary>
    public const int StatxBytes = 256;

    public static int Open(string path, int flags) => Answer(open(path, flags | O_CLOEXEC, 0));

    public static int OpenAt(int directory, string name, int flags, uint mode = 0) => Answer(openat(directory, name, flags | O_CLOEXEC, mode));

    public static int Read(int fd, Span<byte> into)
    {
        fixed (byte* to = into)
        {
            return (int)Answer(read(fd, to, into.Length));
        }
    }

    public static int Write(int fd, ReadOnlySpan<byte> from)
    {
        fixed (byte* bytes = from)
        {
            return (int)Answer(write(fd, bytes, from.Length));
        }
    }

    public static int ReadAt(int fd, Span<byte> into, long offset)
    {
        fixed (byte* to = into)
        {
            return (int)Answer(pread(fd, to, into.Length, offset));
        }
    }

    public static int WriteAt(int fd, ReadOnlySpan<byte> from, long offset)
    {
        fixed (byte* bytes = from)
        {
            return (int)Answer(pwrite(fd, bytes, from.Length, offset));
        }
    }

    /// <summary>Of what a descriptor leads to.</summary>
    public static int Stat(int fd, Span<byte> statx256)
    {
        fixed (byte* to = statx256)
        {
            return Answer(statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, StatxAll, to));
        }
    }

    public static int StatFs(int fd, Span<long> statfs15)
    {
        fixed (long* to = statfs15)
        {
            return Answer(fstatfs(fd, to));
        }
    }

    public static int SetTimes(string path, ReadOnlySpan<long> accessAndModification)
    {
        fixed (long* times = accessAndModification)
        {
            return Answer(utimensat(-100, path, times, 0));
        }
    }

    public static int Mount(string source, string target, string type, string data) => Answer(mount(source, target, type, NoSuidNoDev, data));

    public static int Close(int fd) => Answer(close(fd));

    public static int Sync(int fd) => Answer(fsync(fd));

    public static int Truncate(string path, long length) => Answer(truncate(path, length));

    public static int Allocate(int fd, int mode, long offset, long length) => Answer(fallocate(fd, mode, offset, length));

    public static long Seek(int fd, long offset, int whence) => Answer(lseek(fd, offset, whence));

    public static int MakeDirectoryAt(int directory, string name, uint mode) => Answer(mkdirat(directory, name, mode));

    public static int UnlinkAt(int directory, string name, int flags) => Answer(unlinkat(directory, name, flags));

    public static int RenameAt(int from, string name, int to, string newName, uint flags) => Answer(renameat2(from, name, to, newName, flags));

    public static int ChangeMode(string path, uint mode) => Answer(chmod(path, mode));

    public static int ChangeOwner(string path, uint owner, uint group) => Answer(chown(path, owner, group));

    private static int Answer(int result) => result >= 0 ? result : -Marshal.GetLastPInvokeError();

    private static long Answer(long result) => result >= 0 ? result : -Marshal.GetLastPInvokeError();

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int openat(int directory, string name, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int fd, byte* to, nint count);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int fd, byte* from, nint count);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pread(int fd, byte* to, nint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwrite(int fd, byte* from, nint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(int fd, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long lseek(int fd, long offset, int whence);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int directory, string path, int flags, uint mask, byte* to);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fstatfs(int fd, long* to);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int truncate(string path, long length);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkdirat(int directory, string name, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unlinkat(int directory, string name, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int renameat2(int from, string name, int to, string newName, uint flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chmod(string path, uint mode);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int chown(string path, uint owner, uint group);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int utimensat(int directory, string path, long* times, int flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mount(string source, string target, string type, ulong flags, string data);
}
