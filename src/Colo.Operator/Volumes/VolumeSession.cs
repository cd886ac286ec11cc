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
    private Resource<ReplicatedVolume>? newest;

    public string Uid => uid;

    public VolumeDriver Driver => driver;

    public RoundRecordStore Record => record;

    /// <summary>As last written by this process, or found when it began; null: not yet.</summary>
    public ReplicatedVolumeStatus? Published { get; set; }

    /// <summary>A timestamp of the monotonic clock; of the session's beginning where nothing was written since: an operator that starts does
    /// not write the counters of all volumes at once.</summary>
    public long PublishedAt { get; set; }

    /// <summary>The name of a request, its annotation's value, and since when it waits.</summary>
    public (string Name, string Value, long Since)? Waiting { get; set; }

    /// <summary>The last term under which the volume was seen served; null: not by this process.</summary>
    public long? ServedTerm { get; set; }

    /// <summary>The change of primary that is under way, or was the last one, is a planned one.</summary>
    public bool IsSwitchingOver { get; set; }

    /// <summary>When the primary that a failover replaces was last heard of.</summary>
    public long? FailoverBegan { get; set; }

    /// <summary>What was said once and is not said again: replicas of other volumes, unreachable agents.</summary>
    public HashSet<string> Told { get; } = new(StringComparer.Ordinal);

    /// <summary>As last logged.</summary>
    public string? Situation { get; set; }

    /// <summary>The newest object known: what the informer showed, unless a write of ours was answered since.</summary>
    public Resource<ReplicatedVolume> Volume => newest ?? throw new InvalidOperationException("no round has begun");

    /// <summary>The status that a new one is compared with.</summary>
    public ReplicatedVolumeStatus Before => Published ?? Volume.Value.Status ?? new ReplicatedVolumeStatus();

    public void Begin(Resource<ReplicatedVolume> fromInformer)
    {
        // The informer may lag behind our own write; once it moves it shows that write, or a later one.
        if (!ReferenceEquals(informed, fromInformer))
        {
            informed = fromInformer;
            newest = fromInformer;
        }
    }

    public void Wrote(Resource<ReplicatedVolume>? latest) => newest = latest ?? newest;
}
