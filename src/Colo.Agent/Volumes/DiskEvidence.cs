using Colo.Linux;

namespace Colo.Agent.Volumes;

/// <summary>
/// Whether the file under a replica's disk is still the disk that its state speaks of. Noted when the disk is made and at each clean close;
/// asked before it is opened. A disk that was copied into place, restored, swapped, or written by another while it was closed is refused.
/// </summary>
/// <remarks>
/// Where it was not closed, and the machine went down: nobody of ours has touched it, or its lineage, in this boot. So a change of this boot
/// is somebody's who put something back, also into the same file; the time of it (ctime) cannot be set back. Not seen from here: a whole file system that was set back
/// together with the state, or files that were put back in a boot in between. A state file set back alone is told by its witnesses
/// (<see cref="ReplicaMemory"/>), one of the lineage's by <see cref="LineageStore.FindOldCopyAsync"/>, the rest by what the peer and the
/// record remember.
/// </remarks>
internal static class DiskEvidence
{
    /// <summary>Whoever has made sure that the disk is the right one puts a file of this name, with the volume's uid in it, beside it. It is
    /// used up by the next opening, and the copy counts as one of unknown history from there on.</summary>
    public const string AcceptFileName = "accept-disk";

    /// <summary>The kernel tells the beginning of a boot in seconds.</summary>
    private static readonly TimeSpan BootTolerance = TimeSpan.FromSeconds(1);

    /// <exception cref="VolumeFaultException">it is another disk, or was changed.</exception>
    public static void Require(ReplicaPaths paths, ReplicaMemory memory, ILogger log)
    {
        FileIdentity found = FileIdentity.Of(paths.Disk);
        if ((Contradiction(memory.Current, found) ?? ChangeOfThisBoot(paths, memory.Current, found)) is { } contradiction)
        {
            RequireAccepted($"{paths.Disk} {contradiction}", paths, memory, log);
            return;
        }

        NoteFirst(memory, found);
    }

    /// <summary>Somebody has vouched for what looks like an old copy: from here on its history is unknown.</summary>
    /// <param name="contradiction">What is wrong.</param>
    /// <param name="paths">Of the replica.</param>
    /// <param name="memory">Of the replica.</param>
    /// <param name="log">Told where it is accepted.</param>
    /// <exception cref="VolumeFaultException">nobody has.</exception>
    public static void RequireAccepted(string contradiction, ReplicaPaths paths, ReplicaMemory memory, ILogger log)
    {
        StoredReplica known = memory.Current;
        string accept = Path.Combine(paths.Directory, AcceptFileName);
        if (!File.Exists(accept) || File.ReadAllText(accept).Trim() != known.Spec.Uid)
        {
            throw new VolumeFaultException(
                VolumeFaultKind.Damaged,
                $"{contradiction}; it is not trusted. Delete this replica and let it be filled from its peer; "
                    + $"or, where this disk is known to be right, write the volume's uid into {accept}");
        }

        memory.Update(s => s with
        {
            DiskIdentity = FileIdentity.Of(paths.Disk).Name,
            Clean = false,
            BootId = BootId.Current,
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

    /// <summary>Of a replica that was open when the machine went down.</summary>
    private static string? ChangeOfThisBoot(ReplicaPaths paths, StoredReplica known, FileIdentity disk)
    {
        if (known.Clean || !known.DiskCreated || known.BootId.Length == 0 || known.BootId == BootId.Current
            || BootId.Began > DateTimeOffset.MaxValue - BootTolerance)
        {
            return null;
        }

        long began = Microseconds(BootId.Began + BootTolerance);

        // A time to come says that the clock was set back, or is not set yet: no evidence.
        long now = Microseconds(TimeProvider.System.GetUtcNow());
        if (IsOfThisBoot(disk))
        {
            return Changed(disk, "");
        }

        foreach (string file in LineageStore.FilesIn(paths.Directory))
        {
            if (FileIdentity.Of(file) is var found && IsOfThisBoot(found))
            {
                return Changed(found, $"cannot be trusted: {file} ");
            }
        }

        return null;

        bool IsOfThisBoot(FileIdentity what) => what.TouchedMicroseconds > began && what.TouchedMicroseconds <= now;

        string Changed(FileIdentity what, string of) =>
            $"{of}was changed (content, name, owner or mode) at {Time(what.TouchedMicroseconds)}, in a boot that began at {Time(began)} and in which no agent had it: "
            + "the replica was open when the machine went down, so an old copy may have been put back";
    }

    /// <summary>A state from before the identity was noted: from here on it is.</summary>
    private static void NoteFirst(ReplicaMemory memory, FileIdentity found)
    {
        if (memory.Current.DiskIdentity.Length == 0)
        {
            memory.Update(s => s with { DiskIdentity = found.Name });
        }
    }

    private static long Microseconds(DateTimeOffset time) => (long)(time - DateTimeOffset.UnixEpoch).TotalMicroseconds;

    private static string Time(long microseconds) =>
        DateTime.UnixEpoch.AddMicroseconds(microseconds).ToString("O", System.Globalization.CultureInfo.InvariantCulture);
}
