using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Colo.Blocks;

namespace Colo.Chaos.Guests;

/// <summary>
/// What the guests of all nodes together were told: of each slot the newest acknowledged number and those under way since; when answers
/// came, and from which node. A slot's bytes follow from its place and number alone, so that a torn, stale or misplaced one is seen. A
/// number is under way from before it is sent: one that a dead or frozen node applies after a newer one was acknowledged is a mismatch.
/// </summary>
internal sealed class History(int slots, ulong runId)
{
    public const int SlotBytes = 4096;

    private readonly Lock gate = new();
    private readonly long[] acknowledged = new long[slots];
    private readonly List<long>?[] underWay = new List<long>?[slots];
    private long issued;
    private string? answering;
    private long answeringSince;
    private long lastAnswer;

    public int Slots => slots;

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

    public long Begin(int slot)
    {
        lock (gate)
        {
            (underWay[slot] ??= []).Add(++issued);
            return issued;
        }
    }

    /// <param name="slot">It was written there,</param>
    /// <param name="number">with that number,</param>
    /// <param name="node">through that node,</param>
    /// <param name="sent">at that time.</param>
    public void Acknowledged(int slot, long number, string node, long sent)
    {
        lock (gate)
        {
            acknowledged[slot] = Math.Max(acknowledged[slot], number);
            underWay[slot]?.RemoveAll(n => n <= number);
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
            if (found < number || !IsWhole(bytes, slot, found))
            {
                WrongRead ??= string.Create(CultureInfo.InvariantCulture, $"slot {slot} was acknowledged as {number} and reads back as {found}");
            }
        }
    }

    public void Fill(Span<byte> bytes, int slot, long number)
    {
        bytes.Clear();
        if (number == 0)
        {
            return;
        }

        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        ulong mixed = runId ^ ((ulong)number * 0x9E3779B97F4A7C15) ^ ((ulong)slot << 40);
        for (int at = sizeof(long); at < bytes.Length; at += sizeof(ulong))
        {
            mixed = (mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9;
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[at..], mixed ^ (ulong)at);
        }
    }

    /// <summary>Reads all slots, with no guest at work.</summary>
    /// <returns>What is wrong; empty: each slot holds its newest acknowledged number, or one under way since.</returns>
    public async Task<IReadOnlyList<string>> VerifyAsync(IBlockDevice disk)
    {
        byte[] bytes = new byte[slots * SlotBytes];
        if (await disk.ReadAsync(0, bytes) is not BlockStatus.Ok and var status)
        {
            return [$"the volume cannot be read: {status}"];
        }

        List<string> wrong = [];
        for (int slot = 0; slot < slots; slot++)
        {
            ReadOnlySpan<byte> on = bytes.AsSpan(slot * SlotBytes, SlotBytes);
            long number = BinaryPrimitives.ReadInt64LittleEndian(on);
            bool isWhole = IsWhole(on, slot, number);
            if (!isWhole || (number != acknowledged[slot] && underWay[slot]?.Contains(number) != true))
            {
                wrong.Add(string.Create(
                    CultureInfo.InvariantCulture,
                    $"slot {slot}: {(isWhole ? "whole" : "torn or foreign")}, number {number}; acknowledged {acknowledged[slot]}, under way [{string.Join(' ', underWay[slot] ?? [])}]"));
            }
        }

        return wrong;
    }

    private bool IsWhole(ReadOnlySpan<byte> bytes, int slot, long number)
    {
        Span<byte> expected = stackalloc byte[SlotBytes];
        Fill(expected, slot, number);
        return bytes.SequenceEqual(expected);
    }
}
