using System.Buffers.Binary;
using Colo.Agent.Volumes;
using Colo.Blocks;
using Colo.Linux;
using Colo.Replication;
using Colo.Testing;

namespace Colo.Agent.Tests;

/// <summary>The files of a lineage, each torn, rotten, set back, of another version, or gone.</summary>
public sealed class LineageFilesTests : IDisposable
{
    private const long DiskBytes = 64L << 20;
    private const int Unit = ILineageStore.MapUnitBytes;

    /// <summary>One bit a grain of 4 KiB.</summary>
    private const int MapBytes = (int)(DiskBytes / 4096 / 8);
    private const int MapAt = 20480;

    private readonly TempDirectory directory = new(onTmpfs: true);

    private string MapPath => directory.File("lineage.map");

    private string RecordPath => directory.File("lineage.state");

    private string WitnessPath => directory.File("lineage.seen");

    public void Dispose() => directory.Dispose();

    [Fact]
    public async Task What_was_written_is_read_back_by_the_next_process()
    {
        byte[] bits = new byte[MapBytes];
        Random.Shared.NextBytes(bits);
        await MakeAsync(async store =>
        {
            await store.WriteActivityAsync([1, 2]);
            store.WriteMap(0, bits.AsSpan(0, Unit));
            store.WriteMap(Unit * 2, bits.AsSpan(Unit * 2));
            store.WriteMap(Unit, bits.AsSpan(Unit, Unit));
        });
        await using LineageStore again = await OpenAsync();
        (await again.ReadActivityAsync()).ShouldBe([1, 2]);
        byte[] found = new byte[MapBytes];
        await again.ReadMapAsync(found);
        found.ShouldBe(bits);
        again.DamagedSectors.ShouldBe(0);
        Should.Throw<ArgumentException>(() => again.WriteMap(8, bits.AsSpan(0, Unit)), "a part of a unit has no checksum of its own");
    }

    [Fact]
    public async Task A_map_that_is_put_back_into_the_same_file_is_told_from_the_newest()
    {
        await MakeAsync(store => store.WriteActivityAsync([1]));
        byte[] old = await File.ReadAllBytesAsync(MapPath);
        await MakeAsync(store => store.WriteActivityAsync([1, 2]));
        (await OldCopyAsync()).ShouldBeNull();
        await File.WriteAllBytesAsync(MapPath, old);
        (await OldCopyAsync()).ShouldNotBeNull().ShouldContain("lineage.map");
    }

    [Fact]
    public async Task A_record_that_is_put_back_alone_or_with_its_map_or_is_gone_is_told_from_the_newest()
    {
        await MakeAsync(store => store.WriteAsync(new() { Writes = 2 }));
        (byte[] record, byte[] map) = (await File.ReadAllBytesAsync(RecordPath), await File.ReadAllBytesAsync(MapPath));
        await MakeAsync(store => store.WriteAsync(new() { Writes = 3 }));
        (await OldCopyAsync()).ShouldBeNull();
        await File.WriteAllBytesAsync(RecordPath, record);
        (await OldCopyAsync()).ShouldNotBeNull().ShouldContain("had been at 3");
        await File.WriteAllBytesAsync(MapPath, map);
        (await OldCopyAsync()).ShouldNotBeNull().ShouldContain("had been at 3");
        File.Delete(RecordPath);
        (await OldCopyAsync()).ShouldNotBeNull().ShouldContain("had been at 3");
    }

    [Fact]
    public async Task Without_the_witness_what_the_state_knows_still_tells_an_old_record_and_a_new_witness_is_made()
    {
        await MakeAsync(store => store.WriteAsync(new() { Writes = 3 }));
        File.Delete(WitnessPath);
        (await OldCopyAsync(knownWrites: 4)).ShouldNotBeNull();
        await MakeAsync(store => store.WriteActivityAsync([7]));
        byte[] old = await File.ReadAllBytesAsync(MapPath);
        await MakeAsync(store => store.WriteActivityAsync([8]));
        await File.WriteAllBytesAsync(MapPath, old);
        (await OldCopyAsync()).ShouldNotBeNull();
    }

    [Fact]
    public async Task A_sector_of_the_map_that_is_torn_or_rotten_reads_as_all_different_and_no_other_does()
    {
        await MakeAsync(store => store.WriteActivityAsync([1]));
        byte[] good = await File.ReadAllBytesAsync(MapPath);
        int sectors = (MapBytes + Unit - 1) / Unit;
        for (int sector = 0; sector < sectors; sector++)
        {
            foreach (int at in new[] { 0, 17, Unit - 1, Unit, 511 })
            {
                byte[] bad = [.. good];
                bad[MapAt + (sector * 512) + at] ^= 0x40;
                await ExpectDifferentAsync(bad, sector);
            }

            byte[] blank = [.. good];
            blank.AsSpan(MapAt + (sector * 512), 512).Clear();
            await ExpectDifferentAsync(blank, sector);
            byte[] swapped = [.. good];
            good.AsSpan(MapAt + ((sector + 1) % sectors * 512), 512).CopyTo(swapped.AsSpan(MapAt + (sector * 512)));
            await ExpectDifferentAsync(swapped, sector);
        }
    }

    [Fact]
    public async Task A_log_of_which_neither_slot_is_whole_is_refused_and_one_whose_newest_slot_is_rotten_is_an_old_copy()
    {
        await MakeAsync(async store =>
        {
            await store.WriteActivityAsync([1]);
            await store.WriteActivityAsync([2]);
        });
        byte[] good = await File.ReadAllBytesAsync(MapPath);
        long Number(int slot) => BinaryPrimitives.ReadInt64LittleEndian(good.AsSpan(4096 + (slot * 8192) + 8));
        int newest = Number(0) > Number(1) ? 0 : 1;
        byte[] bad = [.. good];
        bad[4096 + (newest * 8192) + 24] ^= 1;
        await File.WriteAllBytesAsync(MapPath, bad);
        (await OldCopyAsync()).ShouldNotBeNull();
        bad[4096 + ((1 - newest) * 8192) + 24] ^= 1;
        await File.WriteAllBytesAsync(MapPath, bad);
        (await Should.ThrowAsync<StateFileException>(() => OldCopyAsync())).Error.ShouldBe(StateFileError.Torn);
    }

    [Fact]
    public async Task A_map_with_another_header_is_refused_by_name()
    {
        await MakeAsync(_ => ValueTask.CompletedTask);
        byte[] good = await File.ReadAllBytesAsync(MapPath);
        for (int at = 0; at < 28; at += 3)
        {
            byte[] bad = [.. good];
            bad[at] ^= 4;
            await ExpectRefusedAsync(bad, StateFileError.Torn);
        }

        byte[] blank = [.. good];
        blank.AsSpan(0, 28).Clear();
        await ExpectRefusedAsync(blank, StateFileError.Torn);
        await ExpectRefusedAsync(good[..^512], StateFileError.Torn);
        await ExpectRefusedAsync([], StateFileError.Torn);
        byte[] newer = [.. good];
        newer[8]++;
        BinaryPrimitives.WriteUInt32LittleEndian(newer.AsSpan(24), Crc32C.Of(newer.AsSpan(0, 24)));
        await ExpectRefusedAsync(newer, StateFileError.UnknownVersion);
    }

    [Fact]
    public async Task A_map_of_the_first_version_is_read_and_made_anew()
    {
        await MakeAsync(store => store.WriteActivityAsync([3, 5]));
        byte[] made = await File.ReadAllBytesAsync(MapPath);
        byte[] bits = new byte[MapBytes];
        Random.Shared.NextBytes(bits);
        byte[] first = new byte[MapAt + ((MapBytes + 8 + 4095) / 4096 * 4096)];
        made.AsSpan(4096, MapAt - 4096).CopyTo(first.AsSpan(4096));
        bits.CopyTo(first, MapAt);
        await File.WriteAllBytesAsync(MapPath, first);
        for (int time = 0; time < 2; time++)
        {
            await using LineageStore store = await OpenAsync();
            (await store.FindOldCopyAsync(0)).ShouldBeNull();
            (await store.ReadActivityAsync()).ShouldBe([3, 5]);
            byte[] found = new byte[MapBytes];
            await store.ReadMapAsync(found);
            found.ShouldBe(bits);
        }

        (await File.ReadAllBytesAsync(MapPath)).AsSpan().StartsWith("COLOLMAP"u8).ShouldBeTrue();
    }

    [Fact]
    public async Task A_map_that_is_gone_is_told_and_counts_on()
    {
        await MakeAsync(store => store.WriteActivityAsync([1]));
        File.Delete(MapPath);
        await using LineageStore store = await OpenAsync();
        store.HasLostMap.ShouldBeTrue();
        (await store.FindOldCopyAsync(0)).ShouldBeNull("its record is the newest, and it is known that the map is none");
    }

    [Fact]
    public async Task A_witness_that_is_rotten_or_newer_is_refused_and_one_whose_making_was_cut_off_is_none()
    {
        await MakeAsync(async store =>
        {
            await store.WriteActivityAsync([1]);
            await store.WhenWitnessedAsync();
            await store.WriteActivityAsync([2]);
        });
        byte[] good = await File.ReadAllBytesAsync(WitnessPath);
        byte[] bad = [.. good];
        bad[20] ^= 1;
        bad[512 + 20] ^= 1;
        await File.WriteAllBytesAsync(WitnessPath, bad);
        (await Should.ThrowAsync<StateFileException>(OpenAsync)).Error.ShouldBe(StateFileError.Torn);
        await File.WriteAllBytesAsync(WitnessPath, good[..600]);
        (await Should.ThrowAsync<StateFileException>(OpenAsync)).Error.ShouldBe(StateFileError.Torn);
        byte[] newer = [.. good];
        newer[8]++;
        BinaryPrimitives.WriteUInt32LittleEndian(newer.AsSpan(40), Crc32C.Of(newer.AsSpan(0, 40)));
        await File.WriteAllBytesAsync(WitnessPath, newer);
        (await Should.ThrowAsync<StateFileException>(OpenAsync)).Error.ShouldBe(StateFileError.UnknownVersion);
        foreach (byte[] unfinished in new[] { Array.Empty<byte>(), new byte[1024] })
        {
            await File.WriteAllBytesAsync(WitnessPath, unfinished);
            (await OldCopyAsync()).ShouldBeNull();
        }
    }

    [Fact]
    public async Task A_record_that_is_torn_rotten_newer_or_of_another_kind_is_refused()
    {
        await MakeAsync(_ => ValueTask.CompletedTask);
        byte[] good = await File.ReadAllBytesAsync(RecordPath);
        for (int at = 0; at < good.Length; at += 23)
        {
            byte[] bad = [.. good];
            bad[at] ^= 0x10;
            await File.WriteAllBytesAsync(RecordPath, bad);
            await Should.ThrowAsync<StateFileException>(() => OldCopyAsync(), $"byte {at}");
            await File.WriteAllBytesAsync(RecordPath, good[..at]);
            await Should.ThrowAsync<StateFileException>(() => OldCopyAsync(), $"{at} bytes");
        }

        File.Delete(RecordPath);
        new AtomicFile(RecordPath, "lineage").Write("{\"version\":2}"u8);
        (await Should.ThrowAsync<StateFileException>(() => OldCopyAsync())).Message.ShouldContain("version 2");
        File.Delete(RecordPath);
        new AtomicFile(RecordPath, "replica").Write("{\"version\":1}"u8);
        (await Should.ThrowAsync<StateFileException>(() => OldCopyAsync())).Error.ShouldBe(StateFileError.WrongKind);
    }

    private Task<LineageStore> OpenAsync() => LineageStore.OpenAsync(directory.Path, DiskBytes);

    /// <summary>A process that has a record, does this, and ends.</summary>
    private async Task MakeAsync(Func<LineageStore, ValueTask> work)
    {
        await using LineageStore store = await OpenAsync();
        LineageRecord record = await store.ReadAsync();
        await store.ReadActivityAsync();
        await store.WriteAsync(record.Writes > 0 ? record : record with { Writes = 1 });
        await work(store);
    }

    private async Task<string?> OldCopyAsync(long knownWrites = 0)
    {
        await using LineageStore store = await OpenAsync();
        return await store.FindOldCopyAsync(knownWrites);
    }

    private async Task ExpectRefusedAsync(byte[] map, StateFileError why)
    {
        await File.WriteAllBytesAsync(MapPath, map);
        StateFileException refusal = await Should.ThrowAsync<StateFileException>(OpenAsync);
        refusal.Error.ShouldBe(why);
        refusal.Message.ShouldContain(MapPath);
        (await File.ReadAllBytesAsync(MapPath)).ShouldBe(map, "it is not overwritten");
    }

    private async Task ExpectDifferentAsync(byte[] map, int sector)
    {
        await File.WriteAllBytesAsync(MapPath, map);
        await using LineageStore store = await OpenAsync();
        byte[] found = new byte[MapBytes];
        await store.ReadMapAsync(found);
        store.DamagedSectors.ShouldBe(1);
        for (int at = 0; at < MapBytes; at++)
        {
            found[at].ShouldBe(at / Unit == sector ? byte.MaxValue : (byte)0);
        }
    }
}
