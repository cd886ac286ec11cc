using Colo.AgentApi;
using Colo.Control;

namespace Colo.Driver;

/// <summary>
/// Looks at the agents for one volume and reads its record. Silence is what <see cref="IAgents"/> counted by this process's monotonic
/// clock; nothing an agent says about time is believed.
/// </summary>
public sealed class VolumeObserver(string uid, IAgents agents, IVolumeRecordStore record, TimeProvider time)
{
    private readonly Dictionary<string, long> poolFailingSince = new(StringComparer.Ordinal);
    private (long Sequence, long Term, long At) checkpoint = (-1, -1, time.GetTimestamp());

    /// <summary>A checkpoint that was tried counts for the schedule as one that was made: it is not repeated in every round.</summary>
    public void CheckpointTried() => checkpoint.At = time.GetTimestamp();

    /// <param name="pool">Where the volume's replicas lie, as far as the agents do not say otherwise.</param>
    /// <param name="more">Nodes to look at beyond those that are known to hold the volume.</param>
    /// <param name="ask">Do not be content with what was last heard.</param>
    public async Task<VolumeObservation> ObserveAsync(string pool, IEnumerable<string> more, bool ask, CancellationToken token)
    {
        List<string> nodes = [.. agents.NodesOf(uid).Union(more, StringComparer.Ordinal)];
        List<AgentSight> sights = [.. await LookAsync(nodes, ask, token)];

        // Read last: a record older than what the agents say would make a decision look back.
        (VolumeRecord? current, string? fault) = await ReadRecordAsync(token);
        if (current is not null)
        {
            List<string> named = [.. new[] { current.Primary, current.Secondary }.Where(n => n.Length > 0).Except(nodes, StringComparer.Ordinal)];
            sights.AddRange(named.Count > 0 ? await LookAsync(named, ask, token) : []);
        }

        return new(current, fault, [.. sights.Select(s => View(s, pool))], sights.ToDictionary(s => s.Node, StringComparer.Ordinal));
    }

    /// <summary>For how long this node has been silent, while it is being called; the others are kept up with as well.</summary>
    public async Task<TimeSpan> SilenceAsync(string node, VolumeObservation seen, CancellationToken token) =>
        (await agents.LookAsync(uid, [.. seen.Sights.Keys.Union([node], StringComparer.Ordinal)], token)).Single(s => s.Node == node).SilentFor;

    private Task<IReadOnlyList<AgentSight>> LookAsync(IReadOnlyCollection<string> nodes, bool ask, CancellationToken token) =>
        ask ? agents.AskAsync(uid, nodes, token) : agents.LookAsync(uid, nodes, token);

    private ReplicaView View(AgentSight sight, string pool)
    {
        if (!sight.Answers)
        {
            return new ReplicaView(sight.Node, sight.SilentFor) { LeftInOrder = sight.WasStopping };
        }

        ReplicaView view = sight.Volume is null
            ? new ReplicaView(sight.Node, TimeSpan.Zero)
            : Translate.ToView(sight.Node, sight.Volume, SinceCheckpoint(sight.Volume));
        string own = view.Pool is { Length: > 0 } made ? made : pool;
        if (sight.Status?.Pools.FirstOrDefault(p => p.Name == own) is not { Healthy: false } failing)
        {
            poolFailingSince.Remove(sight.Node);
            return view;
        }

        poolFailingSince.TryAdd(sight.Node, time.GetTimestamp());
        return view with { PoolFailingFor = time.GetElapsedTime(poolFailingSince[sight.Node]), PoolFault = failing.Message };
    }

    private TimeSpan SinceCheckpoint(VolumeStatus status)
    {
        if (status.Role == Role.Primary && (status.CheckpointSequence, status.Term) != (checkpoint.Sequence, checkpoint.Term))
        {
            checkpoint = (status.CheckpointSequence, status.Term, time.GetTimestamp());
        }

        return time.GetElapsedTime(checkpoint.At);
    }

    private async Task<(VolumeRecord? Record, string? Fault)> ReadRecordAsync(CancellationToken token)
    {
        try
        {
            return (await record.ReadAsync(token), null);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            return (null, e.Message);
        }
    }
}
