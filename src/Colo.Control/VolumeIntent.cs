using Colo.Api;

namespace Colo.Control;

/// <summary>What a person asked for beyond the spec. Kept durably by the caller until the plan reports it finished or refused.</summary>
public sealed record VolumeIntent
{
    public static readonly VolumeIntent None = new();

    /// <summary>The node that shall become primary without loss.</summary>
    public string? SwitchOverTo { get; init; }

    public FailoverRequest? Failover { get; init; }

    /// <summary>A checkpoint now, whatever the interval.</summary>
    public bool Checkpoint { get; init; }

    /// <summary>The node whose copy shall be dropped and made anew.</summary>
    public string? Resync { get; init; }

    public bool Delete { get; init; }
}

/// <summary>A failover that a person asks for.</summary>
/// <param name="OfTerm">The term the person saw: once the record is past it, the request is fulfilled and never applies again.</param>
/// <param name="RecoveryPoint">Null: the spec's.</param>
/// <param name="ForceUid">The volume's UID, spelled out: promotes a copy that is known to miss writes.</param>
/// <param name="AcceptDataLoss">The second half of a forced failover.</param>
public sealed record FailoverRequest(long OfTerm, RecoveryPoint? RecoveryPoint = null, string? ForceUid = null, bool AcceptDataLoss = false);
