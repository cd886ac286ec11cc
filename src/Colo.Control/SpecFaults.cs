using Colo.Api;

namespace Colo.Control;

/// <summary>What in a spec cannot be done. An API server may have let it through: an old one knows no CEL, and a rule may be younger than
/// the volume.</summary>
public static class SpecFaults
{
    /// <summary>Every broken rule in one sentence; null: none.</summary>
    /// <param name="replicas">What is there already: a spec may not ask for less.</param>
    public static string? Of(ReplicatedVolumeSpec spec, IEnumerable<ReplicaView> replicas)
    {
        List<string> faults = [.. VolumeRules.All.Where(r => !r.Holds(spec)).Select(r => $"spec.{r.Path} {r.Message}")];
        foreach (ReplicaView made in replicas.Where(r => r.SizeBytes > 0))
        {
            ReplicatedVolumeSpec asMade = spec with { Size = new ByteQuantity(made.SizeBytes), StoragePool = made.Pool ?? spec.StoragePool };
            faults.AddRange(VolumeRules.Changes.Where(r => !r.Holds(asMade, spec)).Select(r => $"spec.{r.Path} {r.Message}"));
        }

        return faults.Count == 0 ? null : string.Join("; ", faults.Distinct(StringComparer.Ordinal));
    }

    /// <summary>A spec that asks for more than there is; null: it does not.</summary>
    public static string? Growth(ReplicatedVolumeSpec spec, IEnumerable<ReplicaView> replicas) =>
        replicas.Where(r => r.SizeBytes > 0 && spec.Size.Bytes > r.SizeBytes).Select(r => (long?)r.SizeBytes).FirstOrDefault() is { } made
            ? $"spec.size is {spec.Size}, the disk has {new ByteQuantity(made)}: a volume cannot be grown by this version"
            : null;
}
