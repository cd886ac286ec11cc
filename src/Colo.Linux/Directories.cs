using Colo.Blocks;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>A name (created, renamed) is durable only when its directory is.</summary>
internal static class Directories
{
    public static BlockStatus Sync(string path)
    {
        int fd = Libc.Open(path, Constants.O_RDONLY | Constants.O_DIRECTORY | Constants.O_CLOEXEC, 0);
        if (fd < 0)
        {
            return BlockStatus.IoError;
        }

        using FileDescriptor directory = new(fd);
        return directory.SyncAll();
    }
}
