using Colo.Linux;

namespace Colo.Agent.Volumes;

/// <summary>
/// Whether the file under a replica's disk is still the disk that its state speaks of. Noted when the disk is made and at each clean close;
/// asked before it is opened. A disk that was copied into place, restored, swapped, or written by another while it was closed is refused.
/// </summary>
/// <remarks>Not seen from here: a whole file system that was set back together with the state. A state file set back alone is told by its
/// witness (<see cref="ReplicaMemory"/>), the rest by what the peer and the record remember.</remarks>
internal static class DiskEvidence
{
    /// <summary>Whoever has made sure that the disk is the right one puts a file of this name, with the volume's uid in it, beside it. It is
    /// used up by the next opening, and the copy counts as one of unknown history from there on.</summary>
    public const string AcceptFileName = "accept-disk";

    /// <exception cref="VolumeFaultException">it is another disk, or was changed.</exception>
    public static void Require(ReplicaPaths paths, ReplicaMemory memory, ILogger log)
    {
        StoredReplica known = memory.Current;
        FileIdentity found = FileIdentity.Of(paths.Disk);
        if (Contradiction(known, found) is not { } contradiction)
        {
            NoteFirst(memory, found);
            return;
        }

        string accept = Path.Combine(paths.Directory, AcceptFileName);
        if (!File.Exists(accept) || File.ReadAllText(accept).Trim() != known.Spec.Uid)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Damaged,
                $"{paths.Disk} {contradiction}; it is not trusted. Delete this replica and let it be filled from its peer; "
                    + $"or, where this disk is known to be right, write the volume's uid into {accept}");
        }

        memory.Update(s => s with
        {
            DiskIdentity = found.Name,
            Clean = false,
            Generation = Guid.NewGuid().ToString("N"),
            PeerGeneration = "",

            // What the lineage says is of another disk: it is forgotten when it is opened.
            LineageWrites = null,
        });
        File.Delete(accept);
        log.DiskAccepted(known.Spec.Uid, accept);
    }

    /// <summary>The state of a disk that was drained, flushed and closed; not clean where that cannot be made to last.</summary>
    public static StoredReplica Closed(ReplicaPaths paths, StoredReplica state)
    {
        try
        {
            FileIdentity settled = FileIdentity.Settled(paths.Disk);
            return state with { Clean = true, DiskIdentity = settled.Name, DiskChanged = settled.ChangedMicroseconds };
        }
        catch (IOException)
        {
            return state with { Clean = false };
        }
    }

    private static string? Contradiction(StoredReplica known, FileIdentity found) =>
        known.DiskIdentity.Length > 0 && known.DiskIdentity != found.Name
            ? $"is another file ({found.Name}) than the disk of this replica ({known.DiskIdentity}): it was replaced or restored"
        : known is { Clean: true, DiskChanged: > 0 } && known.DiskChanged != found.ChangedMicroseconds
            ? $"was changed at {Time(found.ChangedMicroseconds)}, the replica was closed with its last change at {Time(known.DiskChanged)}"
        : null;

    /// <summary>A state from before the identity was noted: from here on it is.</summary>
    private static void NoteFirst(ReplicaMemory memory, FileIdentity found)
    {
        if (memory.Current.DiskIdentity.Length == 0)
        {
            memory.Update(s => s with { DiskIdentity = found.Name });
        }
    }

    private static string Time(long microseconds) =>
        DateTime.UnixEpoch.AddMicroseconds(microseconds).ToString("O", System.Globalization.CultureInfo.InvariantCulture);
}
