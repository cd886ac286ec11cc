using System.Text;

namespace Colo.Linux;

/// <summary>A small text that only its owner may read (a key), replaced whole: a reader finds the former or the new one. It is not synced:
/// whoever writes it can make another.</summary>
public static class PrivateFile
{
    private const UnixFileMode OwnerMayReadAndWrite = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <param name="path">Its directory is made, for the owner alone, where there is none.</param>
    /// <param name="text">ASCII.</param>
    /// <exception cref="IOException">it was not replaced.</exception>
    public static void Replace(string path, string text)
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new PlatformNotSupportedException("files with modes are Linux's");
        }

        Directory.CreateDirectory(Path.GetDirectoryName(path)!, OwnerMayReadAndWrite | UnixFileMode.UserExecute);
        string beside = path + ".new";
        File.Delete(beside);
        using (FileStream file = new(beside, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = OwnerMayReadAndWrite }))
        {
            file.Write(Encoding.ASCII.GetBytes(text));
        }

        File.Move(beside, path, overwrite: true);
    }
}
