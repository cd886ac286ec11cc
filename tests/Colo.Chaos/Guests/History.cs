using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Colo.Blocks;
using Colo.Testing;

namespace Colo.Chaos.Guests;

/// <summary>
/// What the guests of all nodes together were told: what of each slot (<see cref="WriteJournal"/>), when, and from which node.
/// </summary>
internal sealed class History(int slots, ulong runId)
{
    public const int SlotBytes = WriteJournal.SlotBytes;

    private readonly Lock gate = new();
    private readonly WriteJournal journal = new(slots, runId);
    private string? answering;
    private long answeringSince;
    private long lastAnswer;

    public int Slots => journal.Slots;

    public long Writes { get; private set; }

    public long Reads { get; private set; }

    public long Flushes { get; private set; }

    /// <summary>How often answers began to come from another node, since the start: each needs a term of its own.</summary>
    public int Moves { get; private set; }

    /// <summary>Between two answers since <see cref="BeginRound"/>.</summary>
    public TimeSpan LongestSilence { get; private set; }

    /// <summary>The first thing a guest read that it must not have.</summary>
    public string? WrongRead { get; private set; }

    public void BeginRound() => (LongestSilence, lastAnswer) = (TimeSpan.Zero, Stopwatch.GetTimestamp());

    public long Begin(int slot) => journal.Begin(slot, count: 1);

    /// <param name="slot">It was written there,</param>
    /// <param name="number">with that number,</param>
    /// <param name="node">through that node,</param>
    /// <param name="sent">at that time.</param>
    public void Acknowledged(int slot, long number, string node, long sent)
    {
        journal.Acknowledged(slot, count: 1, number);
        lock (gate)
        {
            Writes++;
            long now = Stopwatch.GetTimestamp();
            TimeSpan silence = Stopwatch.GetElapsedTime(lastAnswer, now);
            LongestSilence = silence > LongestSilence ? silence : LongestSilence;
            lastAnswer = now;

            // An answer that is only late was given before the move; one to a write that was sent after it was not.
            if (node != answering && sent > answeringSince)
            {
                Moves += answering is null ? 0 : 1;
                (answering, answeringSince) = (node, now);
            }
        }
    }

    public void Flushed()
    {
        lock (gate)
        {
            Flushes++;
        }
    }

    /// <summary>A guest read its own acknowledged write again: that one, or a newer one of another node's guest.</summary>
    public void ReadBack(int slot, long number, ReadOnlySpan<byte> bytes)
    {
        lock (gate)
        {
            Reads++;
            long found = BinaryPrimitives.ReadInt64LittleEndian(bytes);
            if (found < number || !journal.IsWhole(bytes, slot, found))
            {
                WrongRead ??= string.Create(CultureInfo.InvariantCulture, $"slot {slot} was acknowledged as {number} and reads back as {found}");
            }
        }
    }

    public void Fill(Span<byte> bytes, int slot, long number) => journal.Fill(bytes, slot, number);

    /// <summary>Reads all slots, with no guest at work.</summary>
    /// <returns>What is wrong; empty: each slot holds its newest acknowledged number, or one under way since.</returns>
    public async Task<IReadOnlyList<string>> VerifyAsync(IBlockDevice disk) => (await journal.VerifyAsync(disk)).Wrong;
}
