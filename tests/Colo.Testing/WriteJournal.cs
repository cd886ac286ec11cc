using System.Buffers.Binary;
using System.Globalization;
using Colo.Blocks;

namespace Colo.Testing;

/// <summary>
/// What guests were told of each slot of a disk: the newest acknowledged number, and those under way since. A slot's bytes follow from
/// its place and number alone, so that a torn, stale or misplaced one is seen. A number is under way from before it is sent: one that a
/// dead or frozen node applies after a newer one was acknowledged is a mismatch, not a late success.
/// </summary>
public sealed class WriteJournal(int slots, ulong runId)
{
    public const int SlotBytes = 4096;

    private readonly Lock gate = new();
    private readonly long[] acknowledged = new long[slots];
    private readonly List<long>?[] underWay = new List<long>?[slots];
    private long issued;

    public int Slots => slots;

    public long LengthBytes => (long)slots * SlotBytes;

    /// <summary>A number for a write that is about to be sent; greater than all before.</summary>
    public long Begin(int firstSlot, int count)
    {
        lock (gate)
        {
            long number = ++issued;
            for (int slot = firstSlot; slot < firstSlot + count; slot++)
            {
                (underWay[slot] ??= []).Add(number);
            }

            return number;
        }
    }

    public void Acknowledged(int firstSlot, int count, long number)
    {
        lock (gate)
        {
            for (int slot = firstSlot; slot < firstSlot + count; slot++)
            {
                acknowledged[slot] = Math.Max(acknowledged[slot], number);
                underWay[slot]?.RemoveAll(n => n <= number);
            }
        }
    }

    /// <summary>Number 0 is a slot that was never written: zeroes.</summary>
    public void Fill(Span<byte> bytes, int firstSlot, long number)
    {
        for (int i = 0; i * SlotBytes < bytes.Length; i++)
        {
            FillSlot(bytes.Slice(i * SlotBytes, SlotBytes), firstSlot + i, number);
        }
    }

    /// <summary>Reads the whole region, with no writer at work, and wants in each slot its newest acknowledged write, or one under way since.</summary>
    public async Task<JournalFindings> VerifyAsync(IBlockDevice disk)
    {
        byte[] bytes = new byte[LengthBytes];
        if (await disk.ReadAsync(0, bytes) is not BlockStatus.Ok and var status)
        {
            return new(0, [$"the disk cannot be read: {status}"]);
        }

        List<string> wrong = [];
        int found = 0;
        for (int slot = 0; slot < slots; slot++)
        {
            ReadOnlySpan<byte> on = bytes.AsSpan(slot * SlotBytes, SlotBytes);
            long number = BinaryPrimitives.ReadInt64LittleEndian(on);
            bool whole = IsWhole(on, slot, number);
            if (!whole || !IsAllowed(slot, number))
            {
                wrong.Add(string.Create(
                    CultureInfo.InvariantCulture,
                    $"slot {slot}: {(whole ? "whole" : "torn or foreign")}, number {number}; acknowledged {acknowledged[slot]}, "
                    + $"under way [{string.Join(' ', underWay[slot] ?? [])}]"));
            }

            found += acknowledged[slot] != 0 ? 1 : 0;
        }

        return new(found, wrong);
    }

    /// <summary>The bytes of one slot are those of this number, all of them.</summary>
    public bool IsWhole(ReadOnlySpan<byte> bytes, int slot, long number)
    {
        Span<byte> expected = stackalloc byte[SlotBytes];
        FillSlot(expected, slot, number);
        return bytes.SequenceEqual(expected);
    }

    private bool IsAllowed(int slot, long number)
    {
        lock (gate)
        {
            return number == acknowledged[slot] || (underWay[slot]?.Contains(number) ?? false);
        }
    }

    private void FillSlot(Span<byte> bytes, int slot, long number)
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
}

/// <param name="Found">Slots with an acknowledged write.</param>
/// <param name="Wrong">What is wrong, a sentence a slot; empty: each holds what it may.</param>
public sealed record JournalFindings(int Found, IReadOnlyList<string> Wrong);
