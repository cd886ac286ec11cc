using Colo.Api;
using Colo.Control;

namespace Colo.Driver;

/// <summary>What one round is asked to work on.</summary>
/// <param name="Volume">Spec and metadata; its status names nodes to look at and is otherwise only what was published last.</param>
/// <param name="Intent">What people asked for and is not settled yet.</param>
public sealed record RoundRequest(ReplicatedVolume Volume, VolumeIntent Intent)
{
    /// <summary>Nodes that may hold a replica whatever the record says: those with a finalizer of theirs on the volume.</summary>
    public IReadOnlyCollection<string> Holders { get; init; } = [];

    /// <summary>See <see cref="VolumeInput.Candidates"/>: complete, or null.</summary>
    public IReadOnlyList<NodeFacts>? Candidates { get; init; }

    /// <summary>The path that a guest is given in place of the agent's own; null: the agent's own.</summary>
    public string? GuestSocket { get; init; }

    /// <summary>Called when the round is decided and nothing was done yet: for what must be written before a side effect (a status, a
    /// finalizer of each of <see cref="RoundDecision.Nodes"/>). What it throws ends the round without one.</summary>
    public Func<RoundDecision, CancellationToken, Task>? Decided { get; init; }
}

public enum RequestVerb
{
    Switchover,
    Failover,
    Checkpoint,
    Resync,
}

/// <summary>What became of something that a person asked for; the caller drops it from the intent.</summary>
public sealed record SettledRequest(RequestVerb Verb, bool Done, string Message);

/// <summary>A step that was taken, or failed, or a situation that was found; for logs and for people.</summary>
public sealed record RoundEvent(string Kind, string Message, bool Failed = false);

/// <summary>A round before its actions.</summary>
/// <param name="Status">As it is to be published now.</param>
public sealed record RoundDecision(VolumePlan Plan, ReplicatedVolumeStatus Status, VolumeObservation Seen, IReadOnlyList<SettledRequest> Settled)
{
    /// <summary>Nodes on which the actions that follow will leave something.</summary>
    public IReadOnlyCollection<string> Nodes =>
        [.. Plan.Actions.Where(a => a is not VolumeAction.DeleteReplica).Select(ActionExecutor.NodeOf).OfType<string>().Distinct(StringComparer.Ordinal)];
}

/// <summary>What a round came to.</summary>
/// <param name="Plan">Null: the record could not be read, and nothing was decided.</param>
/// <param name="Settled">All of this round, those of the decision included.</param>
/// <param name="Worked">Every action was done; look again at once.</param>
/// <param name="RequeueAfter">Look again then, unless something changes before.</param>
public sealed record RoundResult(
    VolumePlan? Plan, ReplicatedVolumeStatus Status, VolumeObservation Seen, IReadOnlyList<RoundEvent> Events, IReadOnlyList<SettledRequest> Settled,
    bool Worked, TimeSpan RequeueAfter)
{
    /// <summary>Nodes whose agent deleted its replica in this round, or had none; nothing of the volume is left there.</summary>
    public IReadOnlyList<string> Deleted { get; init; } = [];

    /// <summary>The volume was to be deleted, and is: no node is waited for, and there is no record. Nodes that were given up stand in
    /// <see cref="VolumePlan.Deletion"/>.</summary>
    public bool IsDeleted { get; init; }
}
