using Colo.AgentApi;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>The record files of one directory as the replicas' arbiter. Whatever goes wrong on the way is "no answer".</summary>
public sealed class EmbeddedArbiter(string directory) : IArbiter
{
    public ValueTask<Replication.VolumeRecord?> ReadAsync(VolumeUid volume, CancellationToken token)
    {
        try
        {
            return new(ToReplica(File(volume).Read()));
        }
        catch (Exception e) when (IsNoAnswer(e))
        {
            return new((Replication.VolumeRecord?)null);
        }
    }

    public ValueTask<ArbiterAnswer> TryUpdateAsync(
        Replication.VolumeRecord expected, Replication.VolumeRecord next, CancellationToken token)
    {
        try
        {
            RecordChange change = File(expected.Uid).TryReplace(FromReplica(expected), FromReplica(next));
            return new(change switch
            {
                { Done: true } => ArbiterAnswer.Updated(ToReplica(change.Current)!),
                { Current: { } current } => ArbiterAnswer.Conflict(ToReplica(current)!),

                // The record is gone: nobody may conclude anything from that.
                _ => ArbiterAnswer.Unavailable,
            });
        }
        catch (Exception e) when (IsNoAnswer(e))
        {
            return new(ArbiterAnswer.Unavailable);
        }
    }

    private VolumeRecordFile File(VolumeUid volume) => new(directory, volume.Value);

    private static bool IsNoAnswer(Exception e) => e is IOException or InvalidDataException or UnauthorizedAccessException;

    private static Replication.VolumeRecord? ToReplica(AgentApi.VolumeRecord? record) => record is null
        ? null
        : new(
            new(record.Uid),
            new(record.Term),
            record.Primary,
            record.Secondary,
            ApiMapping.ToReplica(record.SecondaryState),
            record.Revision);

    private static AgentApi.VolumeRecord FromReplica(Replication.VolumeRecord record) => new(
        record.Uid.Value, record.Term.Value, record.Primary, record.Secondary, ApiMapping.ToApi(record.SecondaryState), record.Revision);
}
