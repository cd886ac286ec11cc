using System.Globalization;
using System.Runtime.InteropServices;
using Colo.Blocks;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>
/// Which file a path leads to, and when its content last changed. A file that was copied, restored from a backup or made anew is another
/// one under the same name: its inode or its time of birth differs. Whether it lies on another device number is not looked at, because
/// those change from boot to boot.
/// </summary>
/// <param name="Name">To be kept and compared as a whole; the same over reboots of the same file system.</param>
/// <param name="ChangedMicroseconds">When its content last changed (mtime), since 1970.</param>
/// <param name="TouchedMicroseconds">When its content, its names or its attributes last changed (ctime), since 1970: no program can set it to
/// an earlier time.</param>
public sealed record FileIdentity(string Name, long ChangedMicroseconds, long TouchedMicroseconds)
{
    private const long MicrosecondsPerSecond = 1_000_000;
    private const long NanosecondsPerMicrosecond = 1000;

    /// <exception cref="IOException">it cannot be looked at.</exception>
    public static FileIdentity Of(string path) => Look(path, sync: false);

    /// <summary>As <see cref="Of"/>, after data and times of the file were made durable: so they read the same after a power cut.</summary>
    /// <exception cref="IOException">it cannot be synced or looked at.</exception>
    public static FileIdentity Settled(string path) => Look(path, sync: true);

    private static FileIdentity Look(string path, bool sync)
    {
        int fd = Libc.Open(path, Constants.O_RDONLY | Constants.O_NONBLOCK | Constants.O_CLOEXEC, 0);
        if (fd < 0)
        {
            int error = Marshal.GetLastPInvokeError();
            throw Failed(path, error == Errno.ENOENT ? "is not there" : "cannot be opened", error);
        }

        using FileDescriptor descriptor = new(fd);
        if (sync && descriptor.SyncAll() is var status and not BlockStatus.Ok)
        {
            throw new IOException($"{path}: cannot be synced: {status}");
        }

        int errno = descriptor.Stat(out StatxBuffer stat);
        return errno == 0
            ? new(NameOf(stat), Microseconds(stat.ChangedSeconds, stat.ChangedNanoseconds), Microseconds(stat.TouchedSeconds, stat.TouchedNanoseconds))
            : throw Failed(path, "cannot be looked at", errno);
    }

    private static string NameOf(in StatxBuffer stat) => (stat.Mask & Constants.STATX_BTIME) != 0
        ? string.Create(CultureInfo.InvariantCulture, $"inode {stat.Inode} of {Microseconds(stat.BornSeconds, stat.BornNanoseconds)}")
        : string.Create(CultureInfo.InvariantCulture, $"inode {stat.Inode}");

    private static long Microseconds(long seconds, uint nanoseconds) =>
        (seconds * MicrosecondsPerSecond) + (nanoseconds / NanosecondsPerMicrosecond);

    private static IOException Failed(string path, string what, int errno) => new($"{path}: {what} ({Marshal.GetPInvokeErrorMessage(errno)})");
}
