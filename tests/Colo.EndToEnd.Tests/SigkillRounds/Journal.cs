using System.Buffers.Binary;
using System.Globalization;

namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>
/// What the writer was told of each slot of the disk: the newest acknowledged number, and the later ones that it was told nothing of.
/// A slot's bytes follow from its place and number alone, so that a torn, stale or misplaced one is seen. Each slot has one writer at a
/// time; <see cref="Verify"/> wants them all still.
/// </summary>
internal sealed class Journal(int slots, ulong runId)
{
    /// <summary>Smaller than the 4 KiB grain of copy-before-write, so that requests begin and end within grains.</summary>
    public const int SlotBytes = 512;

    private readonly long[] acknowledged = new long[slots];
    private readonly List<long>?[] unanswered = new List<long>?[slots];
    private long issued;

    public int Slots => slots;

    public long LengthBytes => (long)slots * SlotBytes;

    /// <summary>A number for the next request; greater than all before.</summary>
    public long Issue() => Interlocked.Increment(ref issued);

    public void Fill(Span<byte> bytes, int firstSlot, long number)
    {
        for (int i = 0; i * SlotBytes < bytes.Length; i++)
        {
            FillSlot(bytes.Slice(i * SlotBytes, SlotBytes), firstSlot + i, number);
        }
    }

    public void Acknowledged(int firstSlot, int count, long number)
    {
        for (int slot = firstSlot; slot < firstSlot + count; slot++)
        {
            acknowledged[slot] = number;
            unanswered[slot]?.Clear();
        }
    }

    /// <summary>The connection ended, or the write failed: it may have happened, wholly or for some of its slots.</summary>
    public void Unanswered(int firstSlot, int count, long number)
    {
        for (int slot = firstSlot; slot < firstSlot + count; slot++)
        {
            (unanswered[slot] ??= []).Add(number);
        }
    }

    /// <summary>
    /// Each slot holds its newest acknowledged write or a later one without an answer. What was read is from then on what must stay: a
    /// reader has acted on it.
    /// </summary>
    /// <returns>How many slots hold an acknowledged write that was looked for.</returns>
    public int Verify(ReadOnlySpan<byte> disk)
    {
        disk.Length.ShouldBe((int)LengthBytes);
        Span<byte> expected = stackalloc byte[SlotBytes];
        List<string> wrong = [];
        int written = 0;
        for (int slot = 0; slot < slots; slot++)
        {
            ReadOnlySpan<byte> found = disk.Slice(slot * SlotBytes, SlotBytes);
            long number = BinaryPrimitives.ReadInt64LittleEndian(found);
            FillSlot(expected, slot, number);
            if (!found.SequenceEqual(expected) || !IsAllowed(slot, number))
            {
                wrong.Add(Describe(slot, number, found.SequenceEqual(expected)));
                continue;
            }

            written += acknowledged[slot] != 0 ? 1 : 0;
            acknowledged[slot] = number;
            unanswered[slot]?.Clear();
        }

        wrong.Count.ShouldBe(0, customMessage: $"{wrong.Count} slots are wrong:\n{string.Join('\n', wrong.Take(40))}");
        return written;
    }

    private bool IsAllowed(int slot, long number) => number == acknowledged[slot] || (unanswered[slot]?.Contains(number) ?? false);

    private string Describe(int slot, long number, bool whole) => string.Create(
        CultureInfo.InvariantCulture,
        $"slot {slot}: {(whole ? "whole" : "torn or foreign")}, number {number}; acknowledged {acknowledged[slot]}, "
        + $"unanswered [{string.Join(' ', unanswered[slot] ?? [])}]");

    /// <summary>Number 0 is a slot that was never written: zeroes.</summary>
    private void FillSlot(Span<byte> bytes, int slot, long number)
    {
        bytes.Clear();
        if (number == 0)
        {
            return;
        }

        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        ulong state = runId ^ ((ulong)number * 0x9E3779B97F4A7C15) ^ ((ulong)slot << 40);
        for (int at = sizeof(long); at < bytes.Length; at += sizeof(ulong))
        {
            state = (state ^ (state >> 29)) * 0xBF58476D1CE4E5B9;
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[at..], state ^ (ulong)at);
        }
    }
}
