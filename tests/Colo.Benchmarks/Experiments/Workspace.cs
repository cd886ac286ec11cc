using Colo.Benchmarks.Stacks;

namespace Colo.Benchmarks.Experiments;

/// <summary>A directory on a medium for one experiment's disks, gone at the end. Its name is short: unix sockets lie in it.</summary>
internal sealed class Workspace : IDisposable
{
    private readonly string path;

    public Workspace(Medium medium)
    {
        path = Path.Combine(medium.Root, "cb-" + Guid.NewGuid().ToString("N")[..8]);
        Directory.CreateDirectory(path);
    }

    public StackPlace PlaceFor(string stackName, long lengthBytes) =>
        new(Directory.CreateDirectory(Path.Combine(path, stackName)).FullName, lengthBytes);

    public void Dispose() => Directory.Delete(path, recursive: true);
}
