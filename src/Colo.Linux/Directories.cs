using System.Runtime.InteropServices;
using Colo.Blocks;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>
/// Directories whose names survive a power cut: a name (created, renamed, removed) is durable only when the directory that holds it was
/// synced.
/// </summary>
public static class Directories
{
    /// <summary>Makes the directory and all above it that are missing; their names are durable when it returns.</summary>
    /// <exception cref="IOException">it cannot be made, or a directory above it cannot be synced.</exception>
    public static void Create(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        Stack<string> missing = [];
        for (string? at = full; at is not null && !Directory.Exists(at); at = Path.GetDirectoryName(at))
        {
            missing.Push(at);
        }

        foreach (string made in missing)
        {
            Directory.CreateDirectory(made);
            RequireSync(Path.GetDirectoryName(made)!);
        }
    }

    /// <summary>Removes the directory and all in it; it stays away after a power cut. A success where there is none.</summary>
    /// <exception cref="IOException">it cannot be removed, or the directory above it cannot be synced.</exception>
    public static void Delete(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        if (Directory.Exists(full))
        {
            Directory.Delete(full, recursive: true);
            RequireSync(Path.GetDirectoryName(full)!);
        }
    }

    /// <summary>Removes a file; it stays away after a power cut. A success where there is none.</summary>
    /// <exception cref="IOException">it cannot be removed, or its directory cannot be synced.</exception>
    public static void DeleteFile(string path)
    {
        string full = Path.GetFullPath(path);
        if (File.Exists(full))
        {
            File.Delete(full);
            RequireSync(Path.GetDirectoryName(full)!);
        }
    }

    /// <summary>Gives a file the name of another, which it replaces, in the same directory; durable when it returns.</summary>
    /// <exception cref="IOException">it cannot be renamed, or the directory cannot be synced.</exception>
    public static void Rename(string from, string to)
    {
        File.Move(from, to, overwrite: true);
        RequireSync(Path.GetDirectoryName(Path.GetFullPath(to))!);
    }

    /// <summary>fsync of the directory: the names in it are durable when the answer is Ok.</summary>
    internal static BlockStatus Sync(string path)
    {
        int fd = Libc.Open(path, Constants.O_RDONLY | Constants.O_DIRECTORY | Constants.O_CLOEXEC, 0);
        if (fd < 0)
        {
            return Errno.ToStatus(Marshal.GetLastPInvokeError());
        }

        using FileDescriptor directory = new(fd);
        return directory.SyncAll();
    }

    private static void RequireSync(string path)
    {
        BlockStatus status = Sync(path);
        if (status != BlockStatus.Ok)
        {
            throw new IOException($"{path}: the directory cannot be synced: {status}");
        }
    }
}
