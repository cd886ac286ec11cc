using Colo.AgentApi;
using Colo.Api;

namespace Colo.Operator.Volumes;

/// <summary>
/// The rules of a volume as the operator holds them, whatever the API server let through: an old one knows no CEL, and a rule may be
/// younger than the object.
/// </summary>
public static class SpecCheck
{
    /// <summary>Every broken rule in one sentence; null: none.</summary>
    /// <param name="replicas">What is there already: a spec may not ask for less.</param>
    public static string? Fault(ReplicatedVolumeSpec spec, IEnumerable<VolumeStatus> replicas)
    {
        List<string> faults = [.. VolumeRules.All.Where(r => !r.Holds(spec)).Select(r => $"spec.{r.Path} {r.Message}")];
        foreach (VolumeStatus replica in replicas.Where(r => r.SizeBytes > 0))
        {
            ReplicatedVolumeSpec asMade = spec with { Size = new ByteQuantity(replica.SizeBytes), StoragePool = replica.Pool };
            faults.AddRange(VolumeRules.Changes.Where(r => !r.Holds(asMade, spec)).Select(r => $"spec.{r.Path} {r.Message}"));
        }

        return faults.Count == 0 ? null : string.Join("; ", faults.Distinct(StringComparer.Ordinal));
    }
}
