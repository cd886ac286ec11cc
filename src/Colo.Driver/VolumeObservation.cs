using Colo.AgentApi;
using Colo.Control;

namespace Colo.Driver;

/// <summary>What was seen of one volume in one round: the record, the decisions' view of each node, and the agents' own words.</summary>
/// <param name="RecordFault">Why the record could not be read; then nothing may be decided.</param>
public sealed record VolumeObservation(
    VolumeRecord? Record, string? RecordFault, IReadOnlyList<ReplicaView> Views, IReadOnlyDictionary<string, AgentSight> Sights)
{
    public VolumeTruth? Truth => Record is null
        ? null
        : new VolumeTruth(Record.Term, Record.Primary, Record.Secondary, Translate.ToApi(Record.SecondaryState));

    /// <summary>In the agent's own words; null: it does not answer, or holds no replica.</summary>
    public VolumeStatus? StatusOf(string node) => Sights.GetValueOrDefault(node)?.Volume;
}
