using Colo.Agent.Volumes;
using Colo.Linux;
using Colo.Replication;
using Colo.Testing;

namespace Colo.Agent.Tests;

public sealed class EpochStoreTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);

    private string Buffers => directory.File("buffer");

    private string RecordPath => Path.Combine(Buffers, "epoch");

    public void Dispose() => directory.Dispose();

    [Fact]
    public async Task A_record_counts_under_its_own_boot_and_a_finished_failover_under_any()
    {
        await Store("one").CommitAsync(new(7, EpochPhase.Committing));
        Store("one").Read().ShouldBe(new(7, EpochPhase.Committing));
        Store("two").Read().ShouldBe(EpochRecord.None);
        await Store("one").CommitAsync(new(7, EpochPhase.Done));
        Store("two").Read().ShouldBe(new(7, EpochPhase.Done));
    }

    [Fact]
    public async Task A_torn_or_changed_record_is_an_error_and_not_nothing()
    {
        await Store("one").CommitAsync(new(7, EpochPhase.Replicating));
        byte[] good = await File.ReadAllBytesAsync(RecordPath);
        for (int length = 0; length < good.Length; length++)
        {
            await File.WriteAllBytesAsync(RecordPath, good[..length]);
            Should.Throw<StateFileException>(() => Store("one").Read(), $"{length} bytes of it").Error.ShouldBe(StateFileError.Torn);
        }

        for (int at = 0; at < good.Length; at++)
        {
            byte[] bad = [.. good];
            bad[at] ^= 0x10;
            await File.WriteAllBytesAsync(RecordPath, bad);
            Should.Throw<StateFileException>(() => Store("one").Read(), $"byte {at} changed");
        }
    }

    [Fact]
    public void A_record_of_an_agent_that_knew_no_checksum_is_read_and_rewritten()
    {
        Directory.CreateDirectory(Buffers);
        File.WriteAllText(RecordPath, "12 Replicating one\n");
        Store("one").Read().ShouldBe(new(12, EpochPhase.Replicating));
        File.ReadAllBytes(RecordPath).AsSpan().StartsWith("COLOATOM"u8).ShouldBeTrue();
        Store("one").Read().ShouldBe(new(12, EpochPhase.Replicating));
    }

    [Theory]
    [InlineData("hidden-7.qcow2")]
    [InlineData("active-7.qcow2")]
    public async Task A_damaged_buffer_is_refused_by_name_with_what_is_allowed(string name)
    {
        await RawFile.Create(directory.File("disk.raw"), 1 << 20).DisposeAsync();
        EpochStore store = Store("one");
        EpochOverlays made = await store.PrepareAsync(7);
        await made.Active.DisposeAsync();
        await made.Hidden.DisposeAsync();
        byte[] image = await File.ReadAllBytesAsync(Path.Combine(Buffers, name));
        image[0] ^= 1;
        await File.WriteAllBytesAsync(Path.Combine(Buffers, name), image);
        StateFileException refusal = await Should.ThrowAsync<StateFileException>(async () => await Store("one").OpenAsync(7));
        refusal.Error.ShouldBe(StateFileError.Torn);
        refusal.Message.ShouldContain(Path.Combine(Buffers, name));
        refusal.Message.ShouldContain("Delete");
    }

    [Fact]
    public async Task What_was_cleared_is_nothing_even_where_it_was_damaged()
    {
        await Store("one").CommitAsync(new(7, EpochPhase.Done));
        await File.WriteAllTextAsync(RecordPath, "?");
        EpochStore store = Store("one");
        store.Clear();
        store.Read().ShouldBe(EpochRecord.None);
        Store("none").Clear();
    }

    private EpochStore Store(string boot) => new(Buffers, directory.File("disk.raw"), 1 << 20, boot);
}
