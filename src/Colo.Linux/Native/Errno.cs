using Colo.Blocks;

namespace Colo.Linux.Native;

/// <summary>errno numbers that are told apart here.</summary>
internal static class Errno
{
    public const int EPERM = 1;
    public const int ENOENT = 2;
    public const int EINTR = 4;
    public const int EIO = 5;
    public const int ENXIO = 6;
    public const int EAGAIN = 11;
    public const int ENOMEM = 12;
    public const int EACCES = 13;
    public const int EBUSY = 16;
    public const int EEXIST = 17;
    public const int EXDEV = 18;
    public const int ENOTDIR = 20;
    public const int EISDIR = 21;
    public const int EINVAL = 22;
    public const int ENOTTY = 25;
    public const int EFBIG = 27;
    public const int ENOSPC = 28;
    public const int EROFS = 30;
    public const int ENOSYS = 38;
    public const int EOPNOTSUPP = 95;
    public const int EDQUOT = 122;

    /// <summary>What the caller of a device is told; everything unknown is an I/O error, never success.</summary>
    public static BlockStatus ToStatus(int errno) => errno switch
    {
        EPERM or EACCES or EROFS => BlockStatus.NotPermitted,
        ENOMEM => BlockStatus.OutOfMemory,
        EINVAL => BlockStatus.InvalidArgument,
        ENOSPC or EDQUOT or EFBIG => BlockStatus.NoSpace,
        ENOTTY or ENOSYS or EOPNOTSUPP => BlockStatus.NotSupported,
        _ => BlockStatus.IoError,
    };
}
