using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// The way from a primary to its secondary's replication target. Requests are queued in the order of the calls and answered by the
/// secondary; every pending one is answered when the link is disposed or lost. Whoever attaches a link hands it over: the replica
/// disposes it.
/// </summary>
public interface IReplicationLink : IBlockDevice
{
    /// <summary>The secondary's node name, as the record spells it.</summary>
    string PeerNode { get; }

    /// <summary>A checkpoint keeps its place among the queued requests, so that nothing needs draining.</summary>
    bool CarriesCheckpoints { get; }

    /// <summary>Ends, with the reason, when the connection is lost for good. A link that cannot tell never ends it: the next forward
    /// fails, or times out.</summary>
    Task<string> Lost => NeverLost.Instance;

    /// <summary>What the secondary said of the last checkpoint that failed, for people; null where it said only a status.</summary>
    string? CheckpointFailure => null;

    /// <summary>
    /// Closes <paramref name="epoch"/> on the secondary. Where <see cref="CarriesCheckpoints"/>, every request of this link called before
    /// belongs to it and none called after does; otherwise it is called while no request is in flight (gRPC, QMP).
    /// </summary>
    ValueTask<BlockStatus> CheckpointAsync(long epoch);

    /// <summary>What the secondary shows of its lineage; null where it keeps none (QEMU, an older agent).</summary>
    /// <exception cref="ReplicationException">it could not be asked.</exception>
    ValueTask<LineageReport?> ReadLineageAsync(CancellationToken token) => new((LineageReport?)null);

    /// <summary>Tells the secondary what it will be; durable there when answered. Not called where it keeps no lineage.</summary>
    /// <exception cref="ReplicationException">it refused, or could not be told.</exception>
    ValueTask AnnounceAsync(LineageAnnouncement announcement, CancellationToken token) => ValueTask.CompletedTask;

    private static class NeverLost
    {
        public static readonly Task<string> Instance = new TaskCompletionSource<string>().Task;
    }
}
