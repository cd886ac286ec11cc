namespace Colo.Testing.Qemu;

/// <summary>Raw image files, sparse.</summary>
public static class RawDisk
{
    public static void CreateIfMissing(string path, long lengthBytes)
    {
        if (!File.Exists(path))
        {
            using FileStream file = File.Create(path);
            file.SetLength(lengthBytes);
        }
    }
}
