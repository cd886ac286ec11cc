using Colo.Nbd.Server;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>What metrics show of an open volume and its status does not carry. All counts only grow, and begin at zero with each source.</summary>
/// <param name="Source">Counts: the service that is open.</param>
/// <param name="Guest">Of a primary.</param>
/// <param name="Errors">How often each of the seven errors occurred.</param>
/// <param name="Forwards">Of a primary: forwards to its secondaries by the time they took, see <see cref="Nbd.LatencyBuckets"/>.</param>
/// <param name="Pauses">Checkpoints by the time for which guest writes were held.</param>
public sealed record VolumeCounters(
    object Source,
    NbdExportMetrics? Guest,
    IReadOnlyDictionary<ReplicationError, long> Errors,
    IReadOnlyList<long> Forwards,
    IReadOnlyList<long> Pauses);
