namespace Colo.Simulation.Checks;

/// <summary>One write of a guest, as the checks remember it: when it was asked for, when it ended, and whether it was acknowledged.</summary>
internal sealed class WriteEntry(int value, long asked, long term)
{
    public int Value => value;

    /// <summary>In the order of events, not of the clock.</summary>
    public long Asked => asked;

    public long Term => term;

    public long Ended { get; set; } = long.MaxValue;

    public bool IsAcknowledged { get; set; }
}

/// <summary>
/// Every sector as a register: which values a read may return, given what was asked for, acknowledged, read and flushed so far. Invariants 2, 3
/// and 11. A value that a read has returned after its write ended stays: what a guest has read once does not change back.
/// </summary>
/// <remarks>A read may return a write unless another one, acknowledged before the read was asked for, was asked for after that write had ended.
/// What was overwritten since the last flush is remembered, because a power loss may bring it back.</remarks>
internal sealed class Registers
{
    private readonly List<Value>[] sectors;

    /// <summary>Acknowledgements before it count for nothing: a power loss may have taken what they acknowledged.</summary>
    private readonly long[] lossFloor;

    /// <summary>Writes asked for before it are not made durable by a later flush: an fsync failed with them.</summary>
    private readonly long[] flushFloor;
    private long tick;

    public Registers(int count)
    {
        sectors = new List<Value>[count];
        WriteEntry first = new(0, -1, 0) { Ended = -1, IsAcknowledged = true };
        for (int i = 0; i < count; i++)
        {
            sectors[i] = [new(first)];
        }

        (lossFloor, flushFloor) = (new long[count], new long[count]);
        Array.Fill(lossFloor, -1);
        Array.Fill(flushFloor, -1);
    }

    private sealed class Value(WriteEntry entry)
    {
        public WriteEntry Entry => entry;

        /// <summary>When a read showed that another value had won; MaxValue: it may be there.</summary>
        public long DeadSince { get; set; } = long.MaxValue;
    }

    public int Count => sectors.Length;

    public long Now => tick;

    public long Tick() => ++tick;

    /// <summary>A write of this sector was under way at that moment, or later.</summary>
    public bool IsWritten(int sector, long since) => sectors[sector].Exists(v => v.Entry.Ended > since);

    public WriteEntry BeginWrite(int first, int count, int value, long term, bool visible)
    {
        WriteEntry entry = new(value, ++tick, term);
        for (int i = first; visible && i < first + count; i++)
        {
            sectors[i].Add(new(entry));
        }

        return entry;
    }

    public void EndWrite(WriteEntry entry, bool acknowledged) => (entry.Ended, entry.IsAcknowledged) = (++tick, acknowledged);

    /// <summary>Null: the value is one that a read asked for at <paramref name="asked"/> may return; otherwise what is wrong.</summary>
    /// <param name="settles">Nothing that is on its way can change this sector any more: what was read is what it is.</param>
    /// <param name="observes">A guest has seen it; otherwise only a check has.</param>
    public string? Check(int sector, int value, long asked, bool settles = false, bool observes = true)
    {
        List<Value> values = sectors[sector];
        long overwrittenBefore = Overwritten(values, asked, lossFloor[sector]);
        Value? found = null;
        foreach (Value candidate in values)
        {
            if (candidate.Entry.Value == value && candidate.DeadSince > asked && candidate.Entry.Ended >= overwrittenBefore)
            {
                found = candidate;
            }
        }

        if (found is null)
        {
            return $"sector {sector} holds {Name(value)}; possible are {string.Join(", ", values.Where(v => v.DeadSince > asked && v.Entry.Ended >= overwrittenBefore).Select(v => Name(v.Entry.Value)))}";
        }

        if (settles || (observes && values.TrueForAll(v => v.Entry.Ended < asked)))
        {
            foreach (Value other in values)
            {
                if (other != found && other.DeadSince == long.MaxValue)
                {
                    other.DeadSince = tick;
                }
            }
        }

        return null;
    }

    /// <summary>A write was acknowledged by a primary whose term another one has ended: it must have been on the disk that was promoted.</summary>
    public string? CheckLateAcknowledgement(int first, int count, WriteEntry entry)
    {
        for (int i = first; i < first + count; i++)
        {
            // What was found at the promotion is alive, or was overwritten later.
            if (sectors[i].Find(v => v.Entry == entry) is { DeadSince: < long.MaxValue } lost
                && sectors[i].TrueForAll(v => v.DeadSince <= lost.DeadSince || v.Entry.Ended < entry.Asked || v.Entry.Asked > lost.DeadSince))
            {
                return $"sector {i}: {Name(entry.Value)} was acknowledged after its term, and is not on the promoted disk";
            }
        }

        return null;
    }

    public void EndFlush(long asked)
    {
        for (int i = 0; i < sectors.Length; i++)
        {
            List<Value> values = sectors[i];
            if (values.Count > 1)
            {
                long before = Overwritten(values, asked, Math.Max(lossFloor[i], flushFloor[i]));
                values.RemoveAll(v => v.Entry.Ended < before || (v.DeadSince < asked && v.Entry.Asked > flushFloor[i]));
            }
        }
    }

    public void FlushFailed()
    {
        for (int i = 0; i < sectors.Length; i++)
        {
            if (sectors[i].Count > 1)
            {
                flushFloor[i] = tick;
            }
        }
    }

    /// <summary>Goes on from a disk that lost power with unflushed writes: each sector may hold anything since the last flush.</summary>
    public void LosePower()
    {
        tick++;
        for (int i = 0; i < sectors.Length; i++)
        {
            if (sectors[i].Count > 1)
            {
                lossFloor[i] = tick;
                sectors[i].ForEach(v => v.DeadSince = long.MaxValue);
            }
        }
    }

    /// <summary>Goes back to one moment, exactly.</summary>
    public void Reset(IReadOnlyList<int> values, long term)
    {
        tick++;
        for (int i = 0; i < sectors.Length; i++)
        {
            sectors[i] = [new(new WriteEntry(values[i], tick, term) { Ended = tick, IsAcknowledged = true })];
        }
    }

    private static long Overwritten(List<Value> values, long before, long floor)
    {
        long latest = long.MinValue;
        foreach (Value value in values)
        {
            if (value.Entry.IsAcknowledged && value.Entry.Ended < before && value.Entry.Asked > floor)
            {
                latest = Math.Max(latest, value.Entry.Asked);
            }
        }

        return latest;
    }

    private static string Name(int value) => value == 0 ? "zeroes" : value < 0 ? "no content of any write" : $"write {value}";
}
