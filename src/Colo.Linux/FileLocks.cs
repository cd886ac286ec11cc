using System.Globalization;
using System.Runtime.InteropServices;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>
/// Open-file-description locks on whole files: they belong to the descriptor, so a second open in the same process conflicts too,
/// and they are gone when it is closed, also by SIGKILL. QEMU's image locks lie in the same file and conflict as they should.
/// </summary>
internal static class FileLocks
{
    public static void Take(FileDescriptor descriptor, string path, bool exclusive)
    {
        int errno = descriptor.TryLock(exclusive);
        if (errno == 0)
        {
            return;
        }

        if (errno is not (Errno.EAGAIN or Errno.EACCES))
        {
            throw new FileOpenException(
                FileOpenError.Other, path, $"cannot be locked ({Marshal.GetPInvokeErrorMessage(errno)}); its file system must know OFD locks");
        }

        int? holder = descriptor.LockHolder(exclusive) ?? FindHolder(descriptor);
        throw new FileOpenException(FileOpenError.Locked, path, Describe(exclusive, holder), holder);
    }

    private static string Describe(bool exclusive, int? holder)
    {
        string by = holder switch
        {
            null => "another process, which cannot be seen from here",
            int pid when pid == Environment.ProcessId => $"this process (pid {pid})",
            int pid => $"process {pid}",
        };
        return $"is locked by {by}; it may be opened {(exclusive ? "again when that one has closed it" : "for reading when no one writes it")}";
    }

    /// <summary>The kernel names no process for an OFD lock, but lists each lock with the descriptor it belongs to.</summary>
    private static int? FindHolder(FileDescriptor descriptor)
    {
        if (descriptor.Stat(out StatxBuffer stat) != 0)
        {
            return null;
        }

        string file = string.Create(
            CultureInfo.InvariantCulture, $" {stat.FileDeviceMajor:x2}:{stat.FileDeviceMinor:x2}:{stat.Inode} ");
        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(process), CultureInfo.InvariantCulture, out int pid) && HasLock(process, file))
            {
                return pid;
            }
        }

        return null;
    }

    private static bool HasLock(string process, string file)
    {
        try
        {
            foreach (string info in Directory.EnumerateFiles(Path.Combine(process, "fdinfo")))
            {
                foreach (string line in File.ReadLines(info))
                {
                    if (line.StartsWith("lock:", StringComparison.Ordinal) && line.Contains(file, StringComparison.Ordinal))
                    {
                        return true;
                    }
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Gone meanwhile, or not ours to look at.
        }

        return false;
    }
}
