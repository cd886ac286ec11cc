using Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>What the arbiter's record says about a replica that wants to serve.</summary>
public enum RecordVerdict
{
    Confirmed,

    /// <summary>No answer: hold and ask again, never guess.</summary>
    Unknown,

    /// <summary>A newer term, or another primary: this replica must not serve.</summary>
    Superseded,
}

/// <summary>Compares a replica's role and term with the arbiter's record, in one place for Prepare, promotion and adoption.</summary>
public static class RecordCheck
{
    public static (RecordVerdict Verdict, string Reason) ForPrimary(ReplicaSpec spec, string node)
    {
        try
        {
            VolumeRecord? record = new VolumeRecordFile(spec.ArbiterDirectory, spec.Uid).Read();
            return record is null ? (RecordVerdict.Unknown, $"no record in {spec.ArbiterDirectory}")
                : record.Term == spec.Term && record.Primary == node ? (RecordVerdict.Confirmed, "")
                : record.Term < spec.Term
                    ? (RecordVerdict.Unknown, $"the record is of term {record.Term}, below {spec.Term}: it was put back from an old copy")
                : (RecordVerdict.Superseded, $"the record names {record.Primary} primary under term {record.Term}");
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            return (RecordVerdict.Unknown, e.Message);
        }
    }

    /// <exception cref="VolumeFaultException">the record does not let this node have the role under the term.</exception>
    public static void Require(ReplicaSpec spec, string node)
    {
        VolumeRecord? record = Read(spec);
        if (record is null)
        {
            // A secondary of a primary that knows no arbiter (QEMU) has no record; it can never be promoted without one.
            if (spec.Role == Role.Primary || spec.PlainExportName.Length == 0)
            {
                throw new VolumeFaultException(
                    VolumeFaultKind.Precondition, $"there is no record of volume {spec.Uid} in {spec.ArbiterDirectory}: create it first");
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

    private static VolumeRecord? Read(ReplicaSpec spec)
    {
        try
        {
            return new VolumeRecordFile(spec.ArbiterDirectory, spec.Uid).Read();
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            throw new VolumeFaultException(VolumeFaultKind.Unavailable, $"the arbiter does not answer: {e.Message}", e);
        }
    }
}
