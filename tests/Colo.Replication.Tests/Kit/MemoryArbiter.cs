namespace Colo.Replication.Tests.Kit;

/// <summary>An arbiter in memory, with compare-and-swap, that can be made silent, forgetful of its answers, or slow.</summary>
public sealed class MemoryArbiter(VolumeRecord first) : IArbiter
{
    private readonly Lock gate = new();
    private VolumeRecord record = first;

    public VolumeRecord Record
    {
        get
        {
            lock (gate)
            {
                return record;
            }
        }
    }

    /// <summary>No answers, and no effects.</summary>
    public bool IsSilent { get; set; }

    /// <summary>Effects, but no answers.</summary>
    public bool LosesAnswers { get; set; }

    /// <summary>When set, each update waits for it first.</summary>
    public Func<Task>? Gate { get; set; }

    public int Updates { get; private set; }

    public List<SecondaryState> History { get; } = [];

    public ValueTask<VolumeRecord?> ReadAsync(VolumeUid volume, CancellationToken token) => new(IsSilent ? null : Record);

    public async ValueTask<ArbiterAnswer> TryUpdateAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token)
    {
        if (Gate is not null)
        {
            await Gate().WaitAsync(token);
        }

        lock (gate)
        {
            Updates++;
            if (IsSilent)
            {
                return ArbiterAnswer.Unavailable;
            }

            if (record.Revision != expected.Revision)
            {
                return LosesAnswers ? ArbiterAnswer.Unavailable : ArbiterAnswer.Conflict(record);
            }

            next.Term.ShouldBeGreaterThanOrEqualTo(record.Term);
            record = next with { Revision = record.Revision + 1 };
            History.Add(record.SecondaryState);
            return LosesAnswers ? ArbiterAnswer.Unavailable : ArbiterAnswer.Updated(record);
        }
    }

    /// <summary>A person's failover, who accepts the loss.</summary>
    public void ForcePromotion()
    {
        lock (gate)
        {
            record = record with { SecondaryState = SecondaryState.InSync };
        }

        TryPromoteSecondary().ShouldBeTrue();
    }

    /// <summary>The operator's failover: allowed only from InSync. False where it lost.</summary>
    public bool TryPromoteSecondary()
    {
        lock (gate)
        {
            if (record.SecondaryState != SecondaryState.InSync)
            {
                return false;
            }

            record = new(
                record.Uid, record.Term.Next(), record.Secondary, record.Primary, SecondaryState.Stale, record.Revision + 1);
            return true;
        }
    }
}
