using Colo.AgentApi;

namespace Colo.PowerCut.Tests;

/// <summary>A checkpoint that both sides answered: the last change that it holds.</summary>
public sealed record TakenCheckpoint(long ClosedEpoch, long LastChange);

/// <summary>The record as somebody outside of the recording wrote it.</summary>
public sealed record WrittenRecord(long Acknowledged, VolumeRecord Record);

/// <summary>What happened while two agents were recorded, in times of one clock.</summary>
public sealed class RecordedRun(string root, long sizeBytes)
{
    public string Root { get; } = root;

    public long SizeBytes { get; } = sizeBytes;

    public GuestJournal Journal { get; } = new(sizeBytes / CrashImage.SectorBytes);

    public List<TakenCheckpoint> Checkpoints { get; } = [new(0, 0)];

    public List<WrittenRecord> Records { get; } = [];

    /// <summary>From when on node a, or b, must have its replica.</summary>
    public Dictionary<string, long> Prepared { get; } = new(StringComparer.Ordinal);

    /// <summary>From when on replication runs.</summary>
    public long Started { get; set; } = long.MaxValue;

    /// <summary>The failover is to the last checkpoint.</summary>
    public bool CommitsBuffer { get; init; }

    /// <summary>The last change that the old primary was asked for.</summary>
    public long LastOfOldPrimary { get; set; }

    public long PromotionAsked { get; set; } = long.MaxValue;

    public long PromotionAnswered { get; set; } = long.MaxValue;

    /// <summary>The buffer of the failover is on the disk.</summary>
    public long Committed { get; set; } = long.MaxValue;

    public RecordedFiles Files { get; private set; } = new([], "");

    public SystemCallLog Log { get; private set; } = new([], []);

    public void Take(SystemCallLog log)
    {
        Log = log;
        Files = new([Path.Combine(Root, "a"), Path.Combine(Root, "b")], TracedPair.RecordsOf(Root));
        Files.Apply(log);
    }

    /// <summary>Both have their replicas, replication runs or ran, and a is the primary.</summary>
    public bool IsPair(int step) => TimeOf(step) >= Started && TimeOf(step) < Promoting;

    /// <summary>From when on the record may name b.</summary>
    private long Promoting => Records.Find(r => r.Record.Term > 1)?.Acknowledged ?? long.MaxValue;

    /// <summary>Whose file it is; null of one that is nobody's.</summary>
    public string? NodeOf(string path) =>
        new[] { "a", "b" }.FirstOrDefault(node => path.StartsWith(Path.Combine(Root, node) + "/", StringComparison.Ordinal));

    /// <summary>When a step was.</summary>
    public long TimeOf(int step) => Log.StepTimes[step];
}
