namespace Colo.Testing;

/// <summary>A directory of one test's own, gone at the end.</summary>
public sealed class TempDirectory : IDisposable
{
    /// <param name="onTmpfs">Under /dev/shm: for tests that write much and do not test the disk.</param>
    public TempDirectory(bool onTmpfs = false)
    {
        string root = onTmpfs && Directory.Exists("/dev/shm") ? "/dev/shm" : System.IO.Path.GetTempPath();
        Path = Directory.CreateDirectory(System.IO.Path.Combine(root, "colo-" + Guid.NewGuid().ToString("N")[..12])).FullName;
    }

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // A test that checks for removal has done it itself.
        }
    }
}
