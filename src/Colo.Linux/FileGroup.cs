using System.Runtime.InteropServices;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>Whose group a file, or a unix socket's name, belongs to. .NET knows modes only.</summary>
public static class FileGroup
{
    /// <summary>chown(2): this identity stays as it is.</summary>
    private const uint Unchanged = uint.MaxValue;

    /// <summary>Gives the file to a group that this process is a member of, or to any where it has CAP_CHOWN. Follows no link.</summary>
    /// <exception cref="IOException">not permitted, or there is no such file; the message says so.</exception>
    public static void Change(string path, uint group)
    {
        if (Libc.Lchown(path, Unchanged, group) != 0)
        {
            int error = Marshal.GetLastPInvokeError();
            throw new IOException($"cannot give {path} to group {group}: {Marshal.GetPInvokeErrorMessage(error)}");
        }
    }
}
