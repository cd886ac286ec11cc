using Colo.Api;
using Colo.Driver;
using Colo.Kubernetes;

namespace Colo.Operator.Volumes;

/// <summary>
/// What the operator remembers of one volume between rounds: waits after failures, when what was written. Losing it costs a look at the
/// API server, nothing else. One round at a time.
/// </summary>
internal sealed class VolumeSession(string uid, VolumeDriver driver, RoundRecordStore record)
{
    private Resource<ReplicatedVolume>? informed;
    private Resource<ReplicatedVolume>? written;

    public string Uid => uid;

    public VolumeDriver Driver => driver;

    public RoundRecordStore Record => record;

    /// <summary>As last written by this process, or found when it began; null: not yet.</summary>
    public ReplicatedVolumeStatus? Published { get; set; }

    /// <summary>A timestamp of the monotonic clock.</summary>
    public long PublishedAt { get; set; }

    /// <summary>The name of a request, its annotation's value, and since when it waits.</summary>
    public (string Name, string Value, long Since)? Waiting { get; set; }

    /// <summary>When the primary that a failover replaces was last heard of.</summary>
    public long? FailoverBegan { get; set; }

    /// <summary>Said once: a fault of the spec, an agent that cannot be reached, a replica of another volume.</summary>
    public HashSet<string> Told { get; } = new(StringComparer.Ordinal);

    /// <summary>The newest object known: what the informer shows, unless our own write was answered since it last changed.</summary>
    public Resource<ReplicatedVolume> Newest(Resource<ReplicatedVolume> fromInformer)
    {
        if (!ReferenceEquals(informed, fromInformer))
        {
            informed = fromInformer;
            written = null;
        }

        return written ?? fromInformer;
    }

    public void Wrote(Resource<ReplicatedVolume>? latest) => written = latest ?? written;
}
