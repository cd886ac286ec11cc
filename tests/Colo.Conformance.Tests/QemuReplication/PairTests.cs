using Colo.Replication;
using Colo.Testing;
using Colo.Testing.Qemu;

namespace Colo.Conformance.Tests.QemuReplication;

/// <summary>
/// The same claims for every pair of primary and secondary: QEMU's replication driver and ours are interchangeable. QEMU with QEMU
/// is the reference: where that fails, the harness is at fault.
/// </summary>
public sealed class PairTests : IDisposable
{
    private const long Length = 16 << 20;

    private readonly TempDirectory directory = new(onTmpfs: true);

    public static TheoryData<Maker, Maker> Pairs => new()
    {
        { Maker.Qemu, Maker.Qemu },
        { Maker.Qemu, Maker.Colo },
        { Maker.Colo, Maker.Qemu },
        { Maker.Colo, Maker.Colo },
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public async Task The_view_is_the_disk_of_the_last_checkpoint(Maker primaryMaker, Maker secondaryMaker)
    {
        (IPrimarySide primary, ISecondarySide secondary, RandomGuest guest) = await StartAsync(primaryMaker, secondaryMaker);
        await using IPrimarySide ownedPrimary = primary;
        await using ISecondarySide ownedSecondary = secondary;
        byte[] atCheckpoint = new byte[Length];

        for (int epoch = 0; epoch < 3; epoch++)
        {
            await guest.WriteAsync(40);
            Same(await RandomGuest.ReadAllAsync(directory, secondary.NbdSocket, secondary.ViewExport), atCheckpoint, $"view in epoch {epoch}");

            await primary.CheckpointAsync();
            atCheckpoint = guest.Expected.ToArray();
            Same(await RandomGuest.ReadAllAsync(directory, secondary.NbdSocket, secondary.ViewExport), atCheckpoint, $"view after checkpoint {epoch}");
        }

        Same(await RandomGuest.ReadAllAsync(directory, primary.NbdSocket, primary.Export), guest.Expected, "the guest's own disk");
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public async Task Both_disks_hold_every_write_whether_checkpointed_or_not(Maker primaryMaker, Maker secondaryMaker)
    {
        (IPrimarySide primary, ISecondarySide secondary, RandomGuest guest) = await StartAsync(primaryMaker, secondaryMaker);
        await using IPrimarySide ownedPrimary = primary;
        await using ISecondarySide ownedSecondary = secondary;
        await guest.WriteAsync(40);
        await primary.CheckpointAsync();
        await guest.WriteAsync(40);

        await primary.CloseAsync();
        await secondary.CloseAsync();

        Same(await File.ReadAllBytesAsync(primary.DiskPath), guest.Expected, "the primary disk");
        Same(await File.ReadAllBytesAsync(secondary.DiskPath), guest.Expected, "the secondary disk");
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public async Task Failover_to_the_last_checkpoint_undoes_what_came_after_and_keeps_the_secondary_guests_writes(
        Maker primaryMaker, Maker secondaryMaker)
    {
        (IPrimarySide primary, ISecondarySide secondary, RandomGuest guest) = await StartAsync(primaryMaker, secondaryMaker);
        await using IPrimarySide ownedPrimary = primary;
        await using ISecondarySide ownedSecondary = secondary;
        await guest.WriteAsync(60);
        await primary.CheckpointAsync();
        byte[] expected = guest.Expected.ToArray();
        await guest.WriteAsync(60);
        QemuIo secondaryGuest = new(secondary.NbdSocket, secondary.ViewExport);
        await secondaryGuest.WriteAsync(3 << 20, 64 << 10, 0xEE);
        expected.AsSpan(3 << 20, 64 << 10).Fill(0xEE);

        await primary.DisposeAsync();
        await secondary.FailoverAsync();
        Same(await RandomGuest.ReadAllAsync(directory, secondary.NbdSocket, secondary.PromotedExport), expected, "what the promoted VM sees");

        await secondary.CloseAsync();
        Same(await File.ReadAllBytesAsync(secondary.DiskPath), expected, "the promoted disk");
    }

    [Fact]
    public async Task Our_checkpoint_fails_and_says_why_once_a_QEMU_secondary_is_dead()
    {
        (IPrimarySide primary, ISecondarySide secondary, RandomGuest guest) = await StartAsync(Maker.Colo, Maker.Qemu);
        await using IPrimarySide ownedPrimary = primary;
        await guest.WriteAsync(5);
        await primary.CheckpointAsync();

        await secondary.DisposeAsync();
        await guest.WriteAsync(5);

        ReplicationException failure = await Should.ThrowAsync<ReplicationException>(primary.CheckpointAsync);
        failure.Message.ShouldNotBeEmpty();
        Same(await RandomGuest.ReadAllAsync(directory, primary.NbdSocket, primary.Export), guest.Expected, "the guest's own disk");
    }

    public void Dispose() => directory.Dispose();

    private async Task<(IPrimarySide Primary, ISecondarySide Secondary, RandomGuest Guest)> StartAsync(Maker primaryMaker, Maker secondaryMaker)
    {
        ISecondarySide secondary = secondaryMaker == Maker.Qemu
            ? new QemuSecondarySide(await QemuSecondary.LaunchAsync(directory.Path, Length))
            : await ColoSecondarySide.LaunchAsync(directory, Length);
        IPrimarySide primary = primaryMaker == Maker.Qemu
            ? new QemuPrimarySide(await QemuPrimary.LaunchAsync(directory.Path, Length))
            : await ColoPrimarySide.LaunchAsync(directory, Length);
        await secondary.StartAsync();
        await primary.ReplicateToAsync(secondary);
        return (primary, secondary, new RandomGuest(primary.NbdSocket, primary.Export, Length, seed: 20260));
    }

    /// <summary>Names the first difference: sixteen megabytes in a message help nobody.</summary>
    private static void Same(byte[] actual, byte[] expected, string what)
    {
        actual.Length.ShouldBe(expected.Length, what);
        int same = actual.AsSpan().CommonPrefixLength(expected);
        same.ShouldBe(expected.Length, $"{what} differs at byte {same}");
    }
}
