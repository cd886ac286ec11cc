using Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>Compares a replica's role and term with the arbiter's record, in one place for Prepare and promotion. (Adoption needs none: a
/// primary replica asks its arbiter by itself, and holds until it has its answer.).</summary>
public static class RecordCheck
{
    /// <exception cref="VolumeFaultException">the record does not let this node have the role under the term.</exception>
    public static async Task RequireAsync(IVolumeRecordStore records, ReplicaSpec spec, string node, CancellationToken token)
    {
        VolumeRecord? record = await ReadAsync(records, token);
        if (record is null)
        {
            // A secondary of a primary that knows no arbiter (QEMU) has no record; it can never be promoted without one.
            if (spec.Role == Role.Primary || spec.PlainExportName.Length == 0)
            {
                throw new VolumeFaultException(
                    VolumeFaultKind.Precondition, $"there is no record of volume {spec.Uid} at {records.Location}: create it first");
            }

            return;
        }

        if (record.Term != spec.Term)
        {
            throw new VolumeFaultException(
                record.Term > spec.Term ? VolumeFaultKind.StaleTerm : VolumeFaultKind.Precondition,
                $"term {spec.Term} of volume {spec.Uid}: the record is of term {record.Term}");
        }

        bool isPrimary = record.Primary == node;
        if (isPrimary != (spec.Role == Role.Primary))
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Precondition, $"node {node} cannot be {spec.Role}: the record names {record.Primary} primary of term {record.Term}");
        }
    }

    private static async Task<VolumeRecord?> ReadAsync(IVolumeRecordStore records, CancellationToken token)
    {
        try
        {
            return await records.ReadAsync(token);
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            throw new VolumeFaultException(VolumeFaultKind.Unavailable, $"the arbiter does not answer: {e.Message}", e);
        }
    }
}
