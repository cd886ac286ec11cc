using Colo.Agent.Volumes;
using Colo.Blocks;
using Colo.Testing;

namespace Colo.Agent.Tests;

/// <summary>The map of dirty grains in its file: a bit that is lost would be a write that no resync brings, so damage reads as dirty.</summary>
public sealed class LineageStoreTests : IDisposable
{
    private const int Grain = 4096;

    /// <summary>Three sectors of the map and a bit.</summary>
    private const long DiskBytes = ((3L * 504 * 8) + 9) * Grain;

    private const int MapAt = 20480;
    private readonly TempDirectory directory = new(onTmpfs: true);

    [Fact]
    public async Task A_map_comes_back_as_it_was_written()
    {
        DirtyBitmap written = new(DiskBytes, Grain);
        await using (LineageStore store = await MakeAsync())
        {
            Write(store, written, new(0, DiskBytes), set: false);
            Write(store, written, new(503L * 8 * Grain, 16 * Grain), set: true);
            Write(store, written, new(DiskBytes - Grain, Grain), set: true);
            Write(store, written, new(504L * 8 * Grain, Grain), set: false);
        }

        (await ReadAsync()).ShouldBe(Ranges(written));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(300)]
    [InlineData(505)]
    [InlineData(511)]
    public async Task A_part_of_it_that_rotted_reads_as_all_dirty(int byteOfSector)
    {
        DirtyBitmap written = new(DiskBytes, Grain);
        await using (LineageStore store = await MakeAsync())
        {
            Write(store, written, new(0, DiskBytes), set: false);
            Write(store, written, new(0, Grain), set: true);
        }

        Rot(MapAt + 512 + byteOfSector);
        written.Set(new(504L * 8 * Grain, 504L * 8 * Grain));
        (await ReadAsync()).ShouldBe(Ranges(written));
    }

    [Fact]
    public async Task A_mark_in_a_part_that_rotted_meanwhile_leaves_the_rest_of_it_dirty()
    {
        DirtyBitmap written = new(DiskBytes, Grain);
        await using (LineageStore store = await MakeAsync())
        {
            Write(store, written, new(0, DiskBytes), set: false);
            Rot(MapAt + 2);
            Write(store, written, new(64 * Grain, Grain), set: false);
        }

        (await ReadAsync()).ShouldBe("0+262144, 524288+15990784");
    }

    [Fact]
    public async Task A_sector_that_lies_in_the_place_of_another_reads_as_all_dirty()
    {
        await using (LineageStore store = await MakeAsync())
        {
            Write(store, new(DiskBytes, Grain), new(0, DiskBytes), set: false);
        }

        string path = directory.File("lineage.map");
        byte[] bytes = await File.ReadAllBytesAsync(path);
        bytes.AsSpan(MapAt, 512).CopyTo(bytes.AsSpan(MapAt + 512));
        await File.WriteAllBytesAsync(path, bytes);
        (await ReadAsync()).ShouldBe($"{504L * 8 * Grain}+{504L * 8 * Grain}");
    }

    [Fact]
    public async Task A_map_of_an_agent_that_had_no_checksums_is_lost_and_nothing_else()
    {
        // 8 GiB: 256 KiB of bits and a page, which with their checksums take a page more.
        LineageStore store = LineageStore.Open(directory.Path, 8L << 30);
        await store.WriteAsync(Replication.LineageRecord.Empty with { Writes = 7 });
        await store.DisposeAsync();
        await File.WriteAllBytesAsync(directory.File("lineage.map"), new byte[MapAt + (260 << 10)]);
        await using LineageStore again = LineageStore.Open(directory.Path, 8L << 30);
        again.HasLostMap.ShouldBeTrue();
        (await again.ReadAsync()).Writes.ShouldBe(7);
        (await again.ReadActivityAsync()).ShouldBeEmpty();
    }

    public void Dispose() => directory.Dispose();

    private async Task<LineageStore> MakeAsync()
    {
        LineageStore store = LineageStore.Open(directory.Path, DiskBytes);
        await store.WriteAsync(Replication.LineageRecord.Empty with { Writes = 1 });
        return store;
    }

    private static void Write(LineageStore store, DirtyBitmap map, BlockRange range, bool set)
    {
        _ = set ? map.Set(range) : map.Clear(range);
        long from = range.Offset / Grain / 64 * 8;
        long to = Math.Min(map.StoredBytes, (((range.End - 1) / Grain / 64) + 1) * 8);
        byte[] words = new byte[to - from];
        map.CopyTo(from, words);
        store.WriteMap(from, words);
    }

    private void Rot(int at)
    {
        using FileStream file = File.Open(directory.File("lineage.map"), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        file.Position = at;
        int value = file.ReadByte();
        file.Position = at;
        file.WriteByte((byte)(value ^ 0x04));
    }

    private async Task<string> ReadAsync()
    {
        await using LineageStore store = LineageStore.Open(directory.Path, DiskBytes);
        DirtyBitmap read = new(DiskBytes, Grain);
        byte[] stored = new byte[read.StoredBytes];
        await store.ReadMapAsync(stored);
        read.UnionWith(stored.AsSpan());
        return Ranges(read);
    }

    private static string Ranges(DirtyBitmap map) => string.Join(", ", map.SetRanges().Select(r => FormattableString.Invariant($"{r.Offset}+{r.Length}")));
}
