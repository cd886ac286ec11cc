using Colo.AgentApi;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// The store of one volume's record as its replica's arbiter. Whatever goes wrong on the way is "no answer", and logged once; so is a
/// record of a term below one that this node has seen: an old copy of it was put back, and nobody may act upon it.
/// </summary>
/// <param name="records">Of the volume.</param>
/// <param name="uid">Of the volume.</param>
/// <param name="log">Of the arbiter.</param>
/// <param name="highestTerm">That this node has seen of the volume.</param>
public sealed class RecordArbiter(IVolumeRecordStore records, string uid, ILogger log, Func<long>? highestTerm = null) : IArbiter
{
    private bool silent;

    public async ValueTask<Replication.VolumeRecord?> ReadAsync(VolumeUid volume, CancellationToken token)
    {
        try
        {
            AgentApi.VolumeRecord? record = await records.ReadAsync(token);
            if (record is null)
            {
                Silent("there is no record");
                return null;
            }

            if (IsRolledBack(record))
            {
                return null;
            }

            Answered();
            return ToReplica(record);
        }
        catch (Exception e) when (IsNoAnswer(e))
        {
            Silent(e.Message);
            return null;
        }
    }

    public async ValueTask<ArbiterAnswer> TryUpdateAsync(
        Replication.VolumeRecord expected, Replication.VolumeRecord next, CancellationToken token)
    {
        try
        {
            RecordChange change = await records.TryReplaceAsync(FromReplica(expected), FromReplica(next), token);
            if (change is { Done: false, Current: { } other } && IsRolledBack(other))
            {
                return ArbiterAnswer.Unavailable;
            }

            Answered();
            return change switch
            {
                { Done: true, Current: { } written } => ArbiterAnswer.Updated(ToReplica(written)),
                { Done: false, Current: { } current } => ArbiterAnswer.Conflict(ToReplica(current)),

                // The record is gone: nobody may conclude anything from that.
                _ => ArbiterAnswer.Unavailable,
            };
        }
        catch (Exception e) when (IsNoAnswer(e))
        {
            Silent(e.Message);
            return ArbiterAnswer.Unavailable;
        }
    }

    private bool IsRolledBack(AgentApi.VolumeRecord record)
    {
        long seen = highestTerm?.Invoke() ?? 0;
        if (record.Term < seen)
        {
            Silent($"{records.Location} is of term {record.Term}, this node has seen term {seen}: an old copy was put back");
        }

        return record.Term < seen;
    }

    private static bool IsNoAnswer(Exception e) => e is IOException or InvalidDataException;

    /// <summary>Asked again every half second, perhaps for an hour: two lines are enough.</summary>
    private void Silent(string reason)
    {
        if (!silent)
        {
            silent = true;
            log.ArbiterSilent(uid, reason);
        }
    }

    private void Answered()
    {
        if (silent)
        {
            silent = false;
            log.ArbiterAnswers(uid);
        }
    }

    private static Replication.VolumeRecord ToReplica(AgentApi.VolumeRecord record) => new(
        new(record.Uid),
        new(record.Term),
        record.Primary,
        record.Secondary,
        ApiMapping.ToReplica(record.SecondaryState),
        record.Revision);

    private static AgentApi.VolumeRecord FromReplica(Replication.VolumeRecord record) => new(
        record.Uid.Value, record.Term.Value, record.Primary, record.Secondary, ApiMapping.ToApi(record.SecondaryState), record.Revision);
}
