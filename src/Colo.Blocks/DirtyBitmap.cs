using System.Buffers.Binary;
using System.Numerics;

namespace Colo.Blocks;

/// <summary>
/// One bit for each grain of a device. Costs LengthBytes / GrainBytes / 8 bytes of memory and nothing per call.
/// </summary>
/// <remarks>
/// <para>Any thread may call any member at any time. Each word of 64 grains changes atomically and with a full fence: what was
/// written to memory before a Set is seen by whoever sees the bit. A range over several words is not one atomic step: a reader
/// beside it may see part of it.</para>
/// <para>Rounding always errs towards set: <see cref="Set(BlockRange)"/> marks every grain it touches, <see cref="Clear(BlockRange)"/>
/// only the grains it covers whole (the last grain ends with the device).</para>
/// <para><see cref="CountSet"/> is exact once the calls that change bits have returned; beside them it may be off by theirs.</para>
/// </remarks>
public sealed class DirtyBitmap
{
    private const int GrainsPerWord = 64;

    private readonly long[] words;
    private readonly int grainShift;
    private long countSet;

    /// <param name="lengthBytes">Of the device; 0 or more.</param>
    /// <param name="grainBytes">Power of two.</param>
    public DirtyBitmap(long lengthBytes, int grainBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(lengthBytes);
        if (grainBytes <= 0 || !BitOperations.IsPow2(grainBytes))
        {
            throw new ArgumentOutOfRangeException(nameof(grainBytes), grainBytes, "a power of two is needed");
        }

        LengthBytes = lengthBytes;
        GrainBytes = grainBytes;
        grainShift = BitOperations.Log2((uint)grainBytes);
        GrainCount = (lengthBytes >> grainShift) + ((lengthBytes & (grainBytes - 1)) == 0 ? 0 : 1);
        words = new long[(GrainCount + GrainsPerWord - 1) / GrainsPerWord];
    }

    public long LengthBytes { get; }

    public int GrainBytes { get; }

    public long GrainCount { get; }

    /// <summary>Grains set; kept, not counted.</summary>
    public long CountSet => Math.Max(0, Volatile.Read(ref countSet));

    /// <summary>Bytes that the set grains cover at most: what a copy of them would move.</summary>
    public long SetBytes => Math.Min(CountSet << grainShift, LengthBytes);

    /// <summary>Bytes of <see cref="CopyTo(Span{byte})"/>.</summary>
    public long StoredBytes => words.LongLength * sizeof(long);

    /// <summary>Marks every grain that <paramref name="range"/> touches; returns how many were not marked before.</summary>
    public long Set(BlockRange range)
    {
        Require(range);
        return range.IsEmpty ? 0 : SetGrains(range.Offset >> grainShift, ((range.End - 1) >> grainShift) + 1);
    }

    /// <summary>Marks the grain at <paramref name="offsetBytes"/>; true for the one caller that newly marked it.</summary>
    public bool TrySet(long offsetBytes)
    {
        Require(new BlockRange(offsetBytes, 1));
        long grain = offsetBytes >> grainShift;
        long bit = 1L << (int)(grain % GrainsPerWord);
        ref long word = ref words[grain / GrainsPerWord];
        if ((Volatile.Read(ref word) & bit) != 0 || (Interlocked.Or(ref word, bit) & bit) != 0)
        {
            return false;
        }

        Interlocked.Increment(ref countSet);
        return true;
    }

    /// <summary>Unmarks the grains that lie whole within <paramref name="range"/>; returns how many were marked.</summary>
    public long Clear(BlockRange range)
    {
        Require(range);
        long first = (range.Offset + GrainBytes - 1) >> grainShift;
        long end = range.End == LengthBytes ? GrainCount : range.End >> grainShift;
        return first < end ? ClearGrains(first, end) : 0;
    }

    /// <summary>Unmarks all; returns how many were marked.</summary>
    public long ClearAll() => ClearGrains(0, GrainCount);

    public long SetAll() => SetGrains(0, GrainCount);

    public bool IsSet(long offsetBytes)
    {
        Require(new BlockRange(offsetBytes, 1));
        long grain = offsetBytes >> grainShift;
        return (Volatile.Read(ref words[grain / GrainsPerWord]) >> (int)(grain % GrainsPerWord) & 1) != 0;
    }

    /// <summary>True where every grain that <paramref name="range"/> touches is set (also for an empty range).</summary>
    public bool IsAllSet(BlockRange range)
    {
        Require(range);
        long end = ((range.End - 1) >> grainShift) + 1;
        return range.IsEmpty || NextGrain(range.Offset >> grainShift, set: false, giveUpAt: end) >= end;
    }

    /// <summary>True where at least one grain that <paramref name="range"/> touches is set.</summary>
    public bool IsAnySet(BlockRange range)
    {
        Require(range);
        long end = ((range.End - 1) >> grainShift) + 1;
        return !range.IsEmpty && NextGrain(range.Offset >> grainShift, set: true, giveUpAt: end) < end;
    }

    /// <summary>
    /// Finds the first run of set grains, at or behind the grain of <paramref name="fromOffsetBytes"/>. The run is whole grains, cut at
    /// the device's end and at <paramref name="maxLengthBytes"/> (at least one grain). Going on from <c>run.End</c> visits every run.
    /// </summary>
    public bool TryFindSet(long fromOffsetBytes, out BlockRange run, long maxLengthBytes = long.MaxValue) =>
        TryFind(fromOffsetBytes, set: true, maxLengthBytes, out run);

    /// <summary>As <see cref="TryFindSet"/>, for grains that are not set.</summary>
    public bool TryFindClear(long fromOffsetBytes, out BlockRange run, long maxLengthBytes = long.MaxValue) =>
        TryFind(fromOffsetBytes, set: false, maxLengthBytes, out run);

    /// <summary>All runs of set grains in disk order, as they are when the enumeration reaches them.</summary>
    public IEnumerable<BlockRange> SetRanges()
    {
        long from = 0;
        while (TryFindSet(from, out BlockRange run))
        {
            yield return run;
            from = run.End;
        }
    }

    /// <summary>Marks what <paramref name="other"/> has marked. Same length and grain.</summary>
    public void UnionWith(DirtyBitmap other)
    {
        if (other.LengthBytes != LengthBytes || other.GrainBytes != GrainBytes)
        {
            throw new ArgumentException(
                $"a bitmap of {other.LengthBytes} bytes in grains of {other.GrainBytes} is not one of {LengthBytes} in {GrainBytes}",
                nameof(other));
        }

        for (long i = 0; i < words.LongLength; i++)
        {
            SetWord(i, Volatile.Read(ref other.words[i]));
        }
    }

    /// <summary>Stores the bits, little-endian, grain 0 in bit 0 of byte 0; <see cref="StoredBytes"/> long.</summary>
    public void CopyTo(Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, StoredBytes, nameof(destination));
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(destination[(i * sizeof(long))..], Volatile.Read(ref words[i]));
        }
    }

    /// <summary>The part of <see cref="CopyTo(Span{byte})"/> that begins at a byte; both it and the length are multiples of 8.</summary>
    public void CopyTo(long storedOffset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(destination.Length, StoredBytes - storedOffset, nameof(destination));
        if (storedOffset % sizeof(long) != 0 || destination.Length % sizeof(long) != 0)
        {
            throw new ArgumentException("whole words of 8 bytes", nameof(storedOffset));
        }

        for (int i = 0; i < destination.Length / sizeof(long); i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(
                destination[(i * sizeof(long))..], Volatile.Read(ref words[(storedOffset / sizeof(long)) + i]));
        }
    }

    /// <summary>Marks what <paramref name="stored"/> (of <see cref="CopyTo(Span{byte})"/>) has marked; bits past the end are ignored.</summary>
    public void UnionWith(ReadOnlySpan<byte> stored)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(stored.Length, StoredBytes, nameof(stored));
        for (int i = 0; i < words.Length; i++)
        {
            SetWord(i, BinaryPrimitives.ReadInt64LittleEndian(stored[(i * sizeof(long))..]) & ValidBits(i));
        }
    }

    private bool TryFind(long fromOffsetBytes, bool set, long maxLengthBytes, out BlockRange run)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fromOffsetBytes);
        long first = fromOffsetBytes >= LengthBytes ? GrainCount : NextGrain(fromOffsetBytes >> grainShift, set);
        if (first >= GrainCount)
        {
            run = default;
            return false;
        }

        long limit = first + Math.Max(1, maxLengthBytes >> grainShift);
        long end = Math.Min(NextGrain(first, !set, Math.Min(limit, GrainCount)), limit);

        // A concurrent change may have taken the grain back; the run is then what was seen: that one grain.
        end = Math.Max(end, first + 1);
        run = BlockRange.FromTo(first << grainShift, Math.Min(end << grainShift, LengthBytes));
        return true;
    }

    /// <summary>The first grain at or behind <paramref name="grain"/> in the wanted state; GrainCount, or
    /// <paramref name="giveUpAt"/> or more, where there is none.</summary>
    private long NextGrain(long grain, bool set, long giveUpAt = long.MaxValue)
    {
        giveUpAt = Math.Min(giveUpAt, GrainCount);
        while (grain < giveUpAt)
        {
            long word = Volatile.Read(ref words[grain / GrainsPerWord]);
            ulong wanted = (ulong)(set ? word : ~word) >> (int)(grain % GrainsPerWord);
            if (wanted != 0)
            {
                return Math.Min(grain + BitOperations.TrailingZeroCount(wanted), GrainCount);
            }

            grain = ((grain / GrainsPerWord) + 1) * GrainsPerWord;
        }

        return Math.Min(grain, GrainCount);
    }

    private long SetGrains(long first, long end)
    {
        long changed = 0;
        for (long grain = first; grain < end; grain = ((grain / GrainsPerWord) + 1) * GrainsPerWord)
        {
            changed += SetWord(grain / GrainsPerWord, Mask(grain, end));
        }

        return changed;
    }

    private int SetWord(long index, long mask)
    {
        ref long word = ref words[index];
        if ((Volatile.Read(ref word) & mask) == mask)
        {
            // The usual case of a hot grain: no bus lock. The fence is the one of whoever set it.
            return 0;
        }

        int changed = BitOperations.PopCount((ulong)(mask & ~Interlocked.Or(ref word, mask)));
        Interlocked.Add(ref countSet, changed);
        return changed;
    }

    private long ClearGrains(long first, long end)
    {
        long changed = 0;
        for (long grain = first; grain < end; grain = ((grain / GrainsPerWord) + 1) * GrainsPerWord)
        {
            long mask = Mask(grain, end);
            int cleared = BitOperations.PopCount((ulong)(mask & Interlocked.And(ref words[grain / GrainsPerWord], ~mask)));
            Interlocked.Add(ref countSet, -cleared);
            changed += cleared;
        }

        return changed;
    }

    /// <summary>The bits of [grain, end) within the word of <paramref name="grain"/>.</summary>
    private static long Mask(long grain, long end)
    {
        int low = (int)(grain % GrainsPerWord);
        long count = Math.Min(end - grain, GrainsPerWord - low);
        return (count == GrainsPerWord ? -1L : (1L << (int)count) - 1) << low;
    }

    private long ValidBits(long wordIndex) => Mask(wordIndex * GrainsPerWord, GrainCount);

    private void Require(BlockRange range) => ArgumentOutOfRangeException.ThrowIfGreaterThan(range.End, LengthBytes, nameof(range));
}
