using Colo.Blocks;

namespace Colo.Blocks.Tests;

public sealed class DirtyBitmapTests
{
    private const int Grain = 4096;

    [Fact]
    public void A_set_marks_every_grain_it_touches()
    {
        DirtyBitmap bitmap = new(100 * Grain, Grain);
        bitmap.Set(new BlockRange(Grain - 1, 2)).ShouldBe(2);
        bitmap.SetRanges().ShouldBe([new BlockRange(0, 2 * Grain)]);
    }

    [Fact]
    public void A_clear_unmarks_only_whole_grains()
    {
        DirtyBitmap bitmap = new(100 * Grain, Grain);
        bitmap.SetAll();
        bitmap.Clear(new BlockRange(1, (3 * Grain) - 2)).ShouldBe(1);
        bitmap.IsSet(0).ShouldBeTrue();
        bitmap.IsSet(Grain).ShouldBeFalse();
        bitmap.IsSet(2 * Grain).ShouldBeTrue();
    }

    [Fact]
    public void The_last_grain_ends_with_the_device()
    {
        DirtyBitmap bitmap = new((3 * Grain) + 7, Grain);
        bitmap.GrainCount.ShouldBe(4);
        bitmap.SetAll().ShouldBe(4);
        bitmap.SetRanges().ShouldBe([new BlockRange(0, (3 * Grain) + 7)]);
        bitmap.SetBytes.ShouldBe((3 * Grain) + 7);
        bitmap.Clear(new BlockRange(3 * Grain, 7)).ShouldBe(1);
        bitmap.SetRanges().ShouldBe([new BlockRange(0, 3 * Grain)]);
    }

    [Fact]
    public void A_range_past_the_end_is_refused()
    {
        DirtyBitmap bitmap = new(10 * Grain, Grain);
        Should.Throw<ArgumentOutOfRangeException>(() => bitmap.Set(new BlockRange(9 * Grain, Grain + 1)));
        Should.Throw<ArgumentOutOfRangeException>(() => bitmap.IsSet(10 * Grain));
    }

    [Fact]
    public void An_empty_range_changes_nothing()
    {
        DirtyBitmap bitmap = new(10 * Grain, Grain);
        bitmap.Set(new BlockRange(5, 0)).ShouldBe(0);
        bitmap.Clear(new BlockRange(5, 0)).ShouldBe(0);
        bitmap.CountSet.ShouldBe(0);
        bitmap.IsAllSet(new BlockRange(5, 0)).ShouldBeTrue();
        bitmap.IsAnySet(new BlockRange(5, 0)).ShouldBeFalse();
    }

    [Fact]
    public void A_device_of_no_bytes_has_no_grains()
    {
        DirtyBitmap bitmap = new(0, Grain);
        bitmap.SetAll().ShouldBe(0);
        bitmap.TryFindSet(0, out _).ShouldBeFalse();
        bitmap.TryFindClear(0, out _).ShouldBeFalse();
    }

    [Fact]
    public void TrySet_tells_the_first_caller_only()
    {
        DirtyBitmap bitmap = new(10 * Grain, Grain);
        bitmap.TrySet(Grain + 5).ShouldBeTrue();
        bitmap.TrySet(Grain).ShouldBeFalse();
        bitmap.CountSet.ShouldBe(1);
    }

    [Fact]
    public void A_run_is_cut_at_the_length_asked_for()
    {
        DirtyBitmap bitmap = new(1000 * Grain, Grain);
        bitmap.Set(new BlockRange(10 * Grain, 500 * Grain));
        bitmap.TryFindSet(0, out BlockRange run, maxLengthBytes: 100 * Grain).ShouldBeTrue();
        run.ShouldBe(new BlockRange(10 * Grain, 100 * Grain));
        bitmap.TryFindSet(run.End, out run, maxLengthBytes: 1).ShouldBeTrue();
        run.ShouldBe(new BlockRange(110 * Grain, Grain));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void It_agrees_with_a_plain_array_under_random_changes(int seed)
    {
        Random random = new(seed);
        const int Grains = 300;
        long length = (Grains * Grain) - 100;
        DirtyBitmap bitmap = new(length, Grain);
        bool[] model = new bool[Grains];
        for (int step = 0; step < 2000; step++)
        {
            long offset = random.NextInt64(length);
            BlockRange range = new(offset, random.NextInt64(Math.Min(length - offset, 100L * Grain) + 1));
            bool set = random.Next(2) == 0;
            long changed = 0;
            for (int g = 0; g < Grains; g++)
            {
                BlockRange grain = new((long)g * Grain, Math.Min(Grain, length - ((long)g * Grain)));
                bool hit = set ? !range.IsEmpty && grain.Overlaps(range) : range.Contains(grain);
                if (hit && model[g] != set)
                {
                    model[g] = set;
                    changed++;
                }
            }

            (set ? bitmap.Set(range) : bitmap.Clear(range)).ShouldBe(changed);
        }

        AssertSame(bitmap, model);
        byte[] stored = new byte[bitmap.StoredBytes];
        bitmap.CopyTo(stored);
        DirtyBitmap copy = new(length, Grain);
        copy.UnionWith(stored);
        AssertSame(copy, model);
        DirtyBitmap union = new(length, Grain);
        union.Set(new BlockRange(0, 1));
        union.UnionWith(bitmap);
        model[0] = true;
        AssertSame(union, model);
    }

    [Fact]
    public void Stored_bits_past_the_end_are_ignored()
    {
        DirtyBitmap bitmap = new(3 * Grain, Grain);
        byte[] stored = new byte[bitmap.StoredBytes];
        stored.AsSpan().Fill(0xff);
        bitmap.UnionWith(stored);
        bitmap.CountSet.ShouldBe(3);
    }

    [Fact]
    public void A_bitmap_of_another_shape_is_not_merged()
    {
        DirtyBitmap bitmap = new(3 * Grain, Grain);
        Should.Throw<ArgumentException>(() => bitmap.UnionWith(new DirtyBitmap(3 * Grain, 2 * Grain)));
        Should.Throw<ArgumentOutOfRangeException>(() => bitmap.UnionWith(new byte[3]));
    }

    [Fact]
    public async Task Of_many_threads_setting_the_same_grains_each_grain_is_new_to_exactly_one()
    {
        const int Grains = 10_000;
        DirtyBitmap bitmap = new((long)Grains * Grain, Grain);
        long[] news = await Task.WhenAll(Enumerable.Range(0, 4).Select(t => Task.Run(() =>
        {
            long mine = 0;
            for (int g = 0; g < Grains; g++)
            {
                long offset = (long)g * Grain;
                mine += t % 2 == 0 ? (bitmap.TrySet(offset) ? 1 : 0) : bitmap.Set(new BlockRange(offset, Grain));
            }

            return mine;
        })));
        news.Sum().ShouldBe(Grains);
        bitmap.CountSet.ShouldBe(Grains);
    }

    [Fact]
    public async Task The_count_is_exact_when_setters_and_clearers_are_done()
    {
        DirtyBitmap bitmap = new(640L * Grain, Grain);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(t => Task.Run(() =>
        {
            Random random = new(t);
            for (int step = 0; step < 20_000; step++)
            {
                long grain = random.Next(600);
                BlockRange range = new(grain * Grain, random.Next(1, 40) * Grain);
                _ = t % 2 == 0 ? bitmap.Set(range) : bitmap.Clear(range);
            }
        })));
        bitmap.CountSet.ShouldBe(bitmap.SetRanges().Sum(r => r.Length) / Grain);
    }

    private static void AssertSame(DirtyBitmap bitmap, bool[] model)
    {
        bitmap.CountSet.ShouldBe(model.Count(m => m));
        bool[] seen = new bool[model.Length];
        foreach (BlockRange run in bitmap.SetRanges())
        {
            for (long g = run.Offset / bitmap.GrainBytes; g * bitmap.GrainBytes < run.End; g++)
            {
                seen[g] = true;
            }
        }

        seen.ShouldBe(model);
        for (int g = 0; g < model.Length; g++)
        {
            bitmap.IsSet((long)g * bitmap.GrainBytes).ShouldBe(model[g]);
            int firstClear = Array.IndexOf(model, false, g);
            bitmap.TryFindClear((long)g * bitmap.GrainBytes, out BlockRange clear).ShouldBe(firstClear >= 0);
            if (firstClear >= 0)
            {
                clear.Offset.ShouldBe((long)firstClear * bitmap.GrainBytes);
            }
        }
    }
}
