using Colo.Blocks;

namespace Colo.Replication;

/// <summary>
/// One replica's lineage: the generation of its content, the map of what changed since the other replica was last equal, and the activity
/// log. Opened once for a replica and handed to whichever role it has; what it says is durable before anybody acts upon it.
/// </summary>
public sealed class ReplicaLineage
{
    private readonly ILineageStore store;
    private readonly DirtyMapFile map;
    private readonly Func<GenerationId> draw;
    private readonly SemaphoreSlim one = new(1);
    private readonly string life;
    private LineageRecord record;
    private bool isTracking;

    private ReplicaLineage(ILineageStore store, LineageRecord record, long lengthBytes, string life, Func<GenerationId> draw)
    {
        (this.store, this.record, this.life, this.draw) = (store, record, life, draw);
        LengthBytes = lengthBytes;
        map = new DirtyMapFile(store, lengthBytes);
        Activity = new ActivityLog(store, lengthBytes);
        isTracking = !record.Base.IsNone;
    }

    public long LengthBytes { get; }

    public LineageRecord Record => Volatile.Read(ref record);

    /// <summary>Bytes of the grains that are known to differ from what the other replica last held.</summary>
    public long DirtyBytes => map.Dirty.SetBytes;

    internal DirtyBitmap Dirty => map.Dirty;

    internal ActivityLog Activity { get; }

    /// <summary>A map is kept: every write alone must be marked first.</summary>
    internal bool IsTracking => Volatile.Read(ref isTracking);

    /// <param name="store">Of this replica.</param>
    /// <param name="lengthBytes">Of its disk.</param>
    /// <param name="life">Changes where answered writes of this copy may have been lost: with the machine, not with the process.</param>
    /// <param name="draw">Where generations come from; random where not given.</param>
    public static async ValueTask<ReplicaLineage> OpenAsync(
        ILineageStore store, long lengthBytes, string life, Func<GenerationId>? draw = null)
    {
        ReplicaLineage lineage = new(store, await store.ReadAsync(), lengthBytes, life, draw ?? GenerationId.New);
        await lineage.Activity.LoadAsync();
        if (lineage.IsTracking)
        {
            await lineage.map.LoadAsync();
        }
        else
        {
            // Bits of an outage that is over, or of one whose beginning was not recorded: the activity log has those.
            await lineage.map.EraseAsync();
        }

        return lineage;
    }

    /// <summary>For whoever brings a content from elsewhere (an older agent, a restored file): nobody may take it for what it was.</summary>
    public ValueTask ForgetAsync() => ChangeAsync(async () =>
    {
        await WriteAsync(record.Begin(default) with { Base = default, Target = default, Attached = false, Suspects = [], AtRisk = [] });
        await EndMapAsync();
        await Activity.ClearAsync();
    });

    /// <summary>Closed in order, with nothing in flight and both replicas flushed.</summary>
    public async ValueTask CloseCleanAsync()
    {
        await store.SyncMapAsync();
        await Activity.ClearAsync();
    }

    /// <summary>For the primary that attaches this replica.</summary>
    public LineageReport Report()
    {
        LineageRecord now = Record with { Life = life };
        DirtyBitmap? dirty = null;
        if (IsTracking || Activity.Count > 0 || now.Suspects.Count > 0)
        {
            dirty = new DirtyBitmap(LengthBytes, DirtyMapFile.GrainBytes);
            dirty.UnionWith(map.Dirty);
            SetExtents(dirty, Activity.Hot());
            SetExtents(dirty, now.Suspects);
        }

        return new(now, dirty);
    }

    /// <summary>This replica serves as primary of <paramref name="term"/>. A new one begins a generation; what a crash left in doubt is kept.</summary>
    internal ValueTask BeginTermAsync(Term term) => ChangeAsync(async () =>
    {
        IReadOnlyList<int> leftover = Activity.Hot();
        LineageRecord next = record with { Life = life };
        if (leftover.Count > 0 && record.Attached)
        {
            next = next with { Suspects = [.. next.Suspects.Union(leftover).Order()] };
        }
        else if (leftover.Count > 0 && IsTracking && record.Life != life)
        {
            // The machine went down: marks behind the last sync may be lost with it.
            MarkExtents(leftover);
        }

        if (term.Value > next.Term)
        {
            bool isMixture = !next.Target.IsNone;
            GenerationId former = next.Base.IsNone ? next.Current : next.Base;
            next = (isMixture ? next.Begin(next.Target) : next).Begin(draw()) with
            {
                Term = term.Value,
                Target = default,
                Base = isMixture ? default : former,
                PeerLife = "",
            };
        }
        else if (next.Current.IsNone)
        {
            next = next.Begin(draw()) with { Term = term.Value };
        }

        if (!next.Base.IsNone)
        {
            MarkExtents(next.Suspects);
            next = next with { Suspects = [] };
        }

        await map.SyncAsync();
        await WriteAsync(next);
        await Activity.ClearAsync();
    });

    /// <summary>
    /// The record says that this primary has no secondary in sync: from here on writes are marked. Called after that record and before
    /// the first acknowledgement alone.
    /// </summary>
    /// <param name="inFlight">What may be on one side only.</param>
    internal ValueTask GoAloneAsync(IEnumerable<BlockRange> inFlight) => ChangeAsync(async () =>
    {
        map.BeginAttachment();
        if (!record.Attached)
        {
            return;
        }

        foreach (BlockRange range in inFlight)
        {
            map.Mark(range);
        }

        MarkExtents(record.Suspects);
        await map.SyncAsync();
        await WriteAsync(record.Begin(draw()) with
        {
            Base = record.Base.IsNone ? record.Current : record.Base,
            Attached = false,
            Suspects = [],
            AtRisk = [.. record.AtRisk.Union(Activity.Hot()).Order()],
        });
    });

    /// <summary>Before a secondary's first byte: its own dirty grains are now this map's, and the map is kept until <see cref="TryEndAsync"/>.</summary>
    /// <returns>What to tell the secondary.</returns>
    internal ValueTask<LineageAnnouncement> BeginAttachAsync(AttachPlan plan, string node, string peerNode, LineageReport? peer) => ChangeAsync(async () =>
    {
        bool lostWrites = peer?.Record.Life != record.PeerLife || peerNode != record.PeerNode;
        LineageRecord next = record with
        {
            Attached = true,
            PeerNode = peerNode,
            PeerLife = peer?.Record.Life ?? "",
            PeerWrites = peer?.Record.Writes ?? 0,
        };
        if (plan == AttachPlan.Rejoin)
        {
            await WriteAsync(next);
            return new LineageAnnouncement(new(next.Term), next.Current, next.Current, IsEqual: true, node, record.Writes);
        }

        bool isNamed = !record.Base.IsNone && plan != AttachPlan.Full;
        GenerationId from = isNamed ? record.Base : plan == AttachPlan.Bitmap ? record.Current : draw();
        if (!record.Attached || (!isNamed && from == record.Current))
        {
            // What it was while alone is over: a copy of that time, put back, is then known by it.
            next = next.Begin(draw());
        }

        if (!isNamed)
        {
            // A name for whatever the secondary holds: an interrupted copy is then found again by it.
            next = next with { Base = from, History = [from, .. next.History.Where(id => id != from).Take(LineageRecord.MaxHistory - 1)] };
        }

        if (plan == AttachPlan.Full)
        {
            map.MarkAll();
        }

        MarkExtents(record.Suspects);
        if (lostWrites)
        {
            MarkExtents(record.AtRisk);
        }

        if (plan != AttachPlan.Equal && peer?.Dirty is { } dirty)
        {
            foreach (BlockRange range in dirty.SetRanges())
            {
                map.Mark(range);
            }
        }

        await map.SyncAsync();
        await WriteAsync(next with { Suspects = [] });
        return new LineageAnnouncement(new(next.Term), from, next.Current, plan == AttachPlan.Equal, node, record.Writes);
    });

    /// <summary>The secondary has taken the announcement, and has noted it: a copy of it that has not is an older one. Before the first byte,
    /// and before any bit is cleared.</summary>
    internal ValueTask AnnouncedToPeerAsync() => ChangeAsync(() => WriteAsync(record with { PeerWrites = record.PeerWrites + 1 }));

    /// <summary>Names the attachment that begins; only it may clear bits, and only until the primary goes alone.</summary>
    internal long CurrentAttachment => map.Attachment;

    /// <summary>After the target's durable answer for these grains.</summary>
    internal void Copied(long attachment, IEnumerable<BlockRange> ranges) => map.Clear(attachment, ranges);

    /// <summary>Both are equal, durably, and the secondary has been told so. False where this primary is alone again.</summary>
    internal ValueTask<bool> TryEndAsync(long attachment) => ChangeAsync(async () =>
    {
        if (attachment != map.Attachment)
        {
            return false;
        }

        await WriteAsync(record with { Base = default, Suspects = [], AtRisk = [] });
        await EndMapAsync();
        return true;
    });

    /// <summary>False where the mark cannot be stored: the write must not happen.</summary>
    internal bool TryMark(BlockRange range) => map.TryMark(range);

    internal ValueTask SyncMarksAsync() => map.SyncAsync();

    /// <summary>Secondary: what its primary says that it is, or will be.</summary>
    /// <exception cref="ReplicationException">the primary's record is older than one that was shown before.</exception>
    internal ValueTask AnnouncedAsync(LineageAnnouncement told) => ChangeAsync(async () =>
    {
        if (told.PrimaryNode == record.PeerNode && told.PrimaryWrites < record.PeerWrites)
        {
            throw new ReplicationException(
                ReplicationFault.Unrelated,
                $"the state of the primary on {told.PrimaryNode} is at write {told.PrimaryWrites}, and had been at {record.PeerWrites}: an old copy was put back");
        }

        await WriteAsync(record.Begin(told.IsEqual ? told.To : told.From) with
        {
            Term = told.Term.Value,
            Target = told.IsEqual ? default : told.To,
            Base = default,
            Attached = false,
            Suspects = [],
            AtRisk = [],
            PeerNode = told.PrimaryNode,
            PeerWrites = told.PrimaryWrites,
            Life = life,
        });
        await EndMapAsync();
        await Activity.ClearAsync();
    });

    /// <summary>Secondary: the resync has ended, and everything is durable here.</summary>
    internal ValueTask FilledAsync() => ChangeAsync(async () =>
    {
        if (!record.Target.IsNone)
        {
            await WriteAsync(record.Begin(record.Target) with { Target = default });
        }
    });

    /// <summary>Secondary: its disk goes back to an older content in these ranges; the primary's map knows nothing of it.</summary>
    internal ValueTask RollBackAsync(IEnumerable<BlockRange> ranges) => ChangeAsync(async () =>
    {
        if (record.Current.IsNone)
        {
            return;
        }

        foreach (BlockRange range in ranges)
        {
            map.Mark(range);
        }

        await map.SyncAsync();
        await WriteAsync(record.Begin(draw()) with { Base = record.Base.IsNone ? record.Current : record.Base, Target = default });
    });

    private void SetExtents(DirtyBitmap into, IEnumerable<int> extents)
    {
        foreach (int extent in extents)
        {
            into.Set(ActivityLog.RangeOf(extent, LengthBytes));
        }
    }

    private void MarkExtents(IEnumerable<int> extents)
    {
        foreach (int extent in extents)
        {
            map.Mark(ActivityLog.RangeOf(extent, LengthBytes));
        }
    }

    private async ValueTask WriteAsync(LineageRecord next)
    {
        next = next with { Writes = record.Writes + 1 };
        await store.WriteAsync(next);
        Volatile.Write(ref record, next);
        Volatile.Write(ref isTracking, !next.Base.IsNone);
    }

    private async ValueTask EndMapAsync()
    {
        if (map.Dirty.CountSet > 0)
        {
            await map.EraseAsync();
        }
    }

    private async ValueTask ChangeAsync(Func<ValueTask> change)
    {
        await one.WaitAsync();
        try
        {
            await change();
        }
        finally
        {
            one.Release();
        }
    }

    private async ValueTask<T> ChangeAsync<T>(Func<ValueTask<T>> change)
    {
        await one.WaitAsync();
        try
        {
            return await change();
        }
        finally
        {
            one.Release();
        }
    }
}

/// <summary>How a secondary is attached, for its lineage.</summary>
internal enum AttachPlan
{
    /// <summary>It was in sync by the record, and still is (or is re-copied beside): nothing begins.</summary>
    Rejoin,

    /// <summary>The caller knows that both are equal.</summary>
    Equal,

    Bitmap,

    Full,
}
