namespace Colo.Replication;

/// <summary>
/// Names one line of content of a volume (DRBD's data generation): drawn anew whenever a replica begins to take writes that another one
/// does not get. Two replicas with the same one hold the same. The default value names nothing.
/// </summary>
public readonly record struct GenerationId(Guid Value)
{
    /// <summary>A new disk, or one whose content nobody can vouch for.</summary>
    public static GenerationId None => default;

    public bool IsNone => Value == Guid.Empty;

    public static GenerationId New() => new(Guid.NewGuid());

    public override string ToString() => IsNone ? "none" : Value.ToString("N");
}
