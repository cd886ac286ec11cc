using System.Runtime.InteropServices;

namespace Colo.Linux.Native;

/// <summary>Numbers of the kernel's interface, under its own names (x86-64 and arm64).</summary>
internal static class Constants
{
    public const int O_RDONLY = 0;
    public const int O_RDWR = 2;
    public const int O_CREAT = 0x40;
    public const int O_EXCL = 0x80;
    public const int O_NONBLOCK = 0x800;
    public const int O_CLOEXEC = 0x80000;

    public const int RWF_DSYNC = 2;
    public const int RWF_NOWAIT = 8;

    public const int FALLOC_FL_KEEP_SIZE = 1;
    public const int FALLOC_FL_PUNCH_HOLE = 2;
    public const int FALLOC_FL_ZERO_RANGE = 0x10;

    public const int SEEK_DATA = 3;
    public const int SEEK_HOLE = 4;

    public const short F_RDLCK = 0;
    public const short F_WRLCK = 1;
    public const short F_UNLCK = 2;
    public const int F_OFD_GETLK = 36;
    public const int F_OFD_SETLK = 37;

    public const int AT_EMPTY_PATH = 0x1000;
    public const uint STATX_BASIC_STATS = 0x7ff;
    public const uint STATX_BTIME = 0x800;
    public const uint STATX_DIOALIGN = 0x2000;

    public const int S_IFMT = 0xf000;
    public const int S_IFREG = 0x8000;
    public const int S_IFBLK = 0x6000;

    public const nuint BLKDISCARD = 0x1277;
    public const nuint BLKSSZGET = 0x1268;
    public const nuint BLKGETSIZE64 = 0x80081272;

    public const long TMPFS_MAGIC = 0x01021994;
    public const long RAMFS_MAGIC = 0x858458f6;

    /// <summary>The two architectures swapped O_DIRECT and O_DIRECTORY.</summary>
    public static readonly int O_DIRECT = IsArm ? 0x10000 : 0x4000;
    public static readonly int O_DIRECTORY = IsArm ? 0x4000 : 0x10000;

    private static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm64;
}
