using Colo.Agent.Options;
using Colo.AgentApi;
using Colo.Linux;

namespace Colo.Agent.Volumes;

/// <summary>Where the parts of one replica lie. Paths stay the same over restarts: guests and adoption rely on it.</summary>
public sealed class ReplicaPaths
{
    public const string StateFileName = "replica.state";
    private const string DiskFileName = "disk.raw";
    private const string WitnessFileName = "replica.seen";

    private readonly AgentOptions options;
    private readonly string uid;

    public ReplicaPaths(AgentOptions options, string pool, string uid)
    {
        this.options = options;
        this.uid = uid;
        Directory = Path.Combine(options.Pools[pool], uid);
    }

    public string Directory { get; }

    public string Disk => Path.Combine(Directory, DiskFileName);

    public string State => Path.Combine(Directory, StateFileName);

    /// <summary>In memory, whatever medium the buffers have; and beside the state, for another boot.</summary>
    public IReadOnlyList<string> Witnesses =>
        [Path.Combine(Buffer(BufferMedium.Memory), WitnessFileName), Path.Combine(Directory, WitnessFileName)];

    /// <summary>A directory of a pool that holds, or held, a replica.</summary>
    public static bool IsReplica(string directory) =>
        File.Exists(Path.Combine(directory, StateFileName)) || File.Exists(Path.Combine(directory, DiskFileName));

    public string GuestSocket => Path.Combine(options.SocketDirectory, uid + ".sock");

    public string VmViewSocket => Path.Combine(options.SocketDirectory, uid + "-vmview.sock");

    public string Buffer(BufferMedium medium) =>
        medium == BufferMedium.Disk
            ? Path.Combine(Directory, "buffer")
            : Path.Combine(options.MemoryBufferDirectory, options.NodeName, uid);

    public EpochStore Epochs(ReplicaSpec spec) => new(Buffer(spec.Buffer.Medium), Disk, spec.SizeBytes);

    /// <summary>Opens and locks the disk.</summary>
    /// <exception cref="VolumeFaultException">its length is not the one that the state remembers.</exception>
    /// <exception cref="FileOpenException">not there, or another process has it.</exception>
    public RawFile OpenDisk(ReplicaSpec spec)
    {
        RawFile disk = RawFile.Open(Disk);
        if (disk.LengthBytes == spec.SizeBytes)
        {
            return disk;
        }

        // Not awaited: nothing was asked of it yet.
        _ = disk.DisposeAsync().AsTask();
        throw new VolumeFaultException(
            VolumeFaultKind.Damaged, $"{Disk} has {disk.LengthBytes} bytes, the replica's state says {spec.SizeBytes}");
    }
}
