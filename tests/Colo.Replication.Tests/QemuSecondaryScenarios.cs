using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using static Colo.Replication.Tests.Kit.Pair;

namespace Colo.Replication.Tests;

/// <summary>The secondary half of the scenarios of QEMU's tests/unit/test-replication.c, each with comparisons that can fail.</summary>
public sealed class QemuSecondaryScenarios
{
    private const int Half = 512 << 10;

    [Fact]
    public async Task Secondary_read_sees_the_disk_as_of_the_start()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 1 << 20, 0x11);
        await pair.Primary.WriteAsync(0, Half, 0x22);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 1 << 20, 0x11);
    }

    [Fact]
    public async Task Secondary_write_goes_to_the_active_disk_alone()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        await pair.Secondary.VmView.WriteAsync(Half, Half, 0x33);
        await pair.Secondary.VmView.ShouldHoldAsync(0, Half, 0x11);
        await pair.Secondary.VmView.ShouldHoldAsync(Half, Half, 0x33);
        pair.SecondaryDisk.Content.ShouldHold(0, 1 << 20, 0x11);
        pair.Epochs.Active.AllocatedBytes.ShouldBe(Half);
        pair.Epochs.Hidden.AllocatedBytes.ShouldBe(0);
    }

    [Fact]
    public async Task Secondary_start_empties_both_buffers_and_copies_before_write()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        await pair.Primary.WriteAsync(4096, 4096, 0x22);
        await pair.Primary.WriteAsync(4096, 4096, 0x23);
        pair.SecondaryDisk.Content.ShouldHold(4096, 4096, 0x23);
        pair.Epochs.Hidden.AllocatedBytes.ShouldBe(4096);
        await pair.Epochs.Hidden.ShouldHoldAsync(4096, 4096, 0x11);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 1 << 20, 0x11);
    }

    [Fact]
    public async Task Secondary_start_twice_is_refused()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        await pair.Primary.WriteAsync(0, 4096, 0x22);
        (await Should.ThrowAsync<ReplicationException>(async () => await pair.Secondary.StartAsync(One, filling: false)))
            .Fault.ShouldBe(ReplicationFault.WrongState);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x11);
    }

    [Fact]
    public async Task Secondary_start_over_buffers_of_another_length_is_refused()
    {
        await using Pair pair = await OpenAsync();
        pair.Epochs.OverlayBytes = Half;
        (await Should.ThrowAsync<ReplicationException>(async () => await pair.Secondary.StartAsync(One, filling: false)))
            .Fault.ShouldBe(ReplicationFault.Mismatch);
        pair.Secondary.State.ShouldBe(ReplicationState.None);
    }

    [Fact]
    public async Task Secondary_stop_with_failover_commits_active_over_hidden_over_secondary()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        await pair.Primary.WriteAsync(0, Half, 0x22);
        await pair.Secondary.VmView.WriteAsync(Half / 2, Half, 0x33);
        await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LastCheckpoint);
        (await pair.Secondary.CommitCompletion).ShouldBeTrue();
        pair.Secondary.State.ShouldBe(ReplicationState.Done);
        pair.SecondaryDisk.Content.ShouldHold(0, Half / 2, 0x11);
        pair.SecondaryDisk.Content.ShouldHold(Half / 2, Half, 0x33);
        pair.SecondaryDisk.Content.ShouldHold(Half / 2 * 3, Half / 2, 0x11);
        await pair.Secondary.ServingDevice.ShouldHoldAsync(Half / 2, Half, 0x33);
    }

    [Fact]
    public async Task Secondary_stop_without_failover_checkpoints_first()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        await pair.Primary.WriteAsync(0, Half, 0x22);
        await pair.Secondary.VmView.WriteAsync(0, 4096, 0x33);
        await pair.Secondary.StopAsync(One, failover: false, RecoveryPoint.LatestWrite);
        pair.Secondary.State.ShouldBe(ReplicationState.Done);
        pair.SecondaryDisk.Content.ShouldHold(0, Half, 0x22);
        pair.SecondaryDisk.Content.ShouldHold(Half, Half, 0x11);
    }

    [Fact]
    public async Task Secondary_continuous_replication_goes_on_after_failover()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        await pair.Primary.WriteAsync(0, Half, 0x22);
        await pair.Secondary.VmView.WriteAsync(Half, Half, 0x33);
        await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LastCheckpoint);
        (await pair.Secondary.CommitCompletion).ShouldBeTrue();

        // What was promoted is asked again, and nothing happens.
        await pair.Secondary.StartAsync(One.Next(), filling: false);
        await pair.Secondary.CheckpointAsync(One.Next());
        await pair.Secondary.ServingDevice.WriteAsync(0, 4096, 0x44);
        await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LastCheckpoint);
        pair.Secondary.State.ShouldBe(ReplicationState.Done);
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0x44);
        pair.SecondaryDisk.Content.ShouldHold(4096, Half - 4096, 0x11);
        pair.SecondaryDisk.Content.ShouldHold(Half, Half, 0x33);
    }

    [Fact]
    public async Task Secondary_do_checkpoint_drops_both_buffers()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        await pair.Primary.WriteAsync(0, Half, 0x22);
        await pair.Secondary.VmView.WriteAsync(Half, Half, 0x33);
        await pair.Secondary.VmView.ShouldHoldAsync(0, Half, 0x11);
        CheckpointReport report = await pair.Secondary.CheckpointAsync(One);
        report.Epoch.ShouldBe(1);
        pair.Secondary.Epoch.ShouldBe(2);
        await pair.Secondary.VmView.ShouldHoldAsync(0, Half, 0x22);
        await pair.Secondary.VmView.ShouldHoldAsync(Half, Half, 0x11);
        pair.Secondary.BufferedBytes.ShouldBe(0);
    }

    [Fact]
    public async Task Secondary_get_error_all()
    {
        await using Pair pair = await RunningAsync(fill: 0x11);
        pair.Secondary.GetError(One).ShouldBeNull();
        pair.Epochs.Hidden.Fault = (op, _) => op == "write" ? BlockStatus.NoSpace : BlockStatus.Ok;
        ReplicationTarget target = pair.Secondary.OpenTarget(One);
        await target.WriteAsync(0, 4096, 0x22, BlockStatus.NoSpace);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.Backup);
    }
}
