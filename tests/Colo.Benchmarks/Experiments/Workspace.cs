using Colo.Benchmarks.Stacks;

namespace Colo.Benchmarks.Experiments;

/// <summary>
/// A directory on a medium for one experiment's disks, and one in memory for its buffers; both are gone at the end. The name is short:
/// unix sockets lie in it.
/// </summary>
internal sealed class Workspace : IDisposable
{
    private readonly string path;
    private readonly string buffers;

    public Workspace(Medium medium)
    {
        string name = "cb-" + Guid.NewGuid().ToString("N")[..8];
        path = Directory.CreateDirectory(Path.Combine(medium.Root, name)).FullName;
        buffers = Directory.CreateDirectory(Path.Combine(Medium.Tmpfs.Root, name + "-buffers")).FullName;
    }

    public StackPlace PlaceFor(string stackName, long lengthBytes) =>
        new(Make(path, stackName), Make(buffers, stackName), lengthBytes);

    public void Dispose()
    {
        Directory.Delete(path, recursive: true);
        Directory.Delete(buffers, recursive: true);
    }

    private static string Make(string parent, string name) => Directory.CreateDirectory(Path.Combine(parent, name)).FullName;
}
