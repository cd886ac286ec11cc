using Colo.Agent.Options;
using Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>Where the parts of one replica lie. Paths stay the same over restarts: guests and adoption rely on it.</summary>
public sealed class ReplicaPaths
{
    public const string StateFileName = "replica.state";

    private readonly AgentOptions options;
    private readonly string uid;

    public ReplicaPaths(AgentOptions options, string pool, string uid)
    {
        this.options = options;
        this.uid = uid;
        Directory = Path.Combine(options.Pools[pool], uid);
    }

    public string Directory { get; }

    public string Disk => Path.Combine(Directory, "disk.raw");

    public string State => Path.Combine(Directory, StateFileName);

    public string GuestSocket => Path.Combine(options.SocketDirectory, uid + ".sock");

    public string VmViewSocket => Path.Combine(options.SocketDirectory, uid + "-vmview.sock");

    public string Buffer(BufferMedium medium) =>
        medium == BufferMedium.Disk
            ? Path.Combine(Directory, "buffer")
            : Path.Combine(options.MemoryBufferDirectory, options.NodeName, uid);
}
