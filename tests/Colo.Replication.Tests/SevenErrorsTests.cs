using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using Colo.Testing;
using static Colo.Replication.Tests.Kit.Pair;

namespace Colo.Replication.Tests;

public sealed class SevenErrorsTests
{
    [Fact]
    public async Task Error_1_goes_to_the_guest_and_the_replicas_are_equal_again()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.PrimaryDisk.Fault = (op, offset) => op == "write" && offset == 4096 ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(4096, 4096, 0x22, BlockStatus.IoError);
        pair.Primary.GetError(One)!.Number.ShouldBe(ReplicationError.PrimaryDisk);
        pair.SecondaryDisk.Content.ShouldEqual(pair.PrimaryDisk.Content, "secondary after a failed local write");
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.InSync);
    }

    [Fact]
    public async Task Error_1_where_the_local_disk_cannot_even_be_read_makes_the_guest_read_the_secondary()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.PrimaryDisk.Fault = (_, offset) => offset == 4096 ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(4096, 4096, 0x22, BlockStatus.IoError);

        // The disk reads again, but with what it held before: the guest must not see that after it could have seen the other.
        pair.PrimaryDisk.Fault = null;
        await pair.Primary.ShouldHoldAsync(4096, 4096, 0x22);
        await pair.Primary.WriteAsync(4096, 4096, 0x33);
        int remoteReads = pair.Link.Log.Count(op => op == "read");
        await pair.Primary.ShouldHoldAsync(4096, 4096, 0x33);
        pair.Link.Log.Count(op => op == "read").ShouldBe(remoteReads);
    }

    [Fact]
    public async Task What_only_the_secondary_holds_comes_back_to_the_local_disk_once_it_takes_writes()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.PrimaryDisk.Fault = (_, offset) => offset == 4096 ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(4096, 4096, 0x22, BlockStatus.IoError);
        pair.Time.Advance(TimeSpan.FromSeconds(1));
        pair.PrimaryDisk.Content.ShouldHold(4096, 4096, 0x01);
        pair.PrimaryDisk.Fault = null;
        await Eventually.TrueAsync(
            () =>
            {
                pair.Time.Advance(TimeSpan.FromSeconds(1));
                return pair.PrimaryDisk.Content[4096] == 0x22;
            },
            "the local disk has it again");
        pair.SecondaryDisk.Content.ShouldEqual(pair.PrimaryDisk.Content, "the replicas after the repair");
        await pair.Primary.ShouldHoldAsync(4096, 4096, 0x22);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.InSync);
    }

    [Fact]
    public async Task Error_1_again_where_only_the_secondary_has_the_content_does_not_bring_back_what_the_guest_no_longer_reads()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.PrimaryDisk.Fault = (_, offset) => offset == 4096 ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(4096, 4096, 0x22, BlockStatus.IoError);
        await pair.Primary.ShouldHoldAsync(4096, 4096, 0x22);

        // The disk reads again, its old content, and refuses a longer write.
        pair.PrimaryDisk.Fault = (op, _) => op == "write" ? BlockStatus.NoSpace : BlockStatus.Ok;
        await pair.Primary.WriteAsync(4096, 8192, 0x33, BlockStatus.NoSpace);
        await pair.Primary.ShouldHoldAsync(4096, 4096, 0x33);
    }

    [Fact]
    public async Task A_local_read_error_is_answered_by_the_secondary_and_reported()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(4096, 4096, 0x22);
        pair.PrimaryDisk.Fault = (op, _) => op == "read" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.ShouldHoldAsync(4096, 4096, 0x22);
        pair.Primary.GetError(One)!.Number.ShouldBe(ReplicationError.PrimaryDisk);
        await pair.Primary.DetachSecondaryAsync(One);
        (await pair.Primary.ReadAsync(4096, new byte[4096].AsMemory())).ShouldBe(BlockStatus.IoError);
    }

    [Fact]
    public async Task Reads_never_go_to_the_secondary_while_the_local_disk_answers()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.ShouldHoldAsync(0, 1 << 20, 0x01);
        pair.Link.Log.ShouldNotContain("read");
    }

    [Fact]
    public async Task Error_2_is_latched_once_and_a_checkpoint_after_it_fails_and_says_why()
    {
        await using Pair pair = await RunningAsync();
        pair.Link.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(8192, 4096, 0x22);
        ReplicationException failed = await Should.ThrowAsync<ReplicationException>(async () => await pair.Primary.CheckpointAsync(One));
        failed.Fault.ShouldBe(ReplicationFault.CheckpointFailed);
        failed.Error!.Number.ShouldBe(ReplicationError.Forward);
        failed.Message.ShouldContain("[8192, 12288)");
        failed.Message.ShouldContain("error 2");

        // Failing does not take the error away.
        pair.Primary.GetError(One)!.Number.ShouldBe(ReplicationError.Forward);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 1 << 20, 0);
    }

    [Fact]
    public async Task Error_3_stops_the_write_and_the_epoch_cannot_be_closed()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.Epochs.Hidden.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(0, 4096, 0x22);
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0x01);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.Backup);
        pair.Primary.GetError(One)!.Number.ShouldBe(ReplicationError.Forward);
        ReplicationException failed = await Should.ThrowAsync<ReplicationException>(async () => await pair.Secondary.CheckpointAsync(One));
        failed.Error!.Number.ShouldBe(ReplicationError.Backup);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x01);
    }

    [Fact]
    public async Task Error_3_also_where_the_old_content_cannot_be_read()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.SecondaryDisk.Fault = (op, _) => op == "read" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(0, 4096, 0x22);
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0x01);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.Backup);
    }

    [Fact]
    public async Task Error_4_is_latched_and_the_view_keeps_the_last_checkpoint()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.SecondaryDisk.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(0, 4096, 0x22);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.SecondaryDisk);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
        (await Should.ThrowAsync<ReplicationException>(async () => await pair.Secondary.CheckpointAsync(One)))
            .Error!.Number.ShouldBe(ReplicationError.SecondaryDisk);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x01);
    }

    [Fact]
    public async Task Error_5_goes_to_the_secondary_guest_and_harms_no_checkpoint()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.Epochs.Active.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Secondary.VmView.WriteAsync(0, 4096, 0x22, BlockStatus.IoError);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.ActiveDisk);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x01);
        await pair.Primary.CheckpointAsync(One);
        pair.Secondary.GetError(One).ShouldBeNull();
    }

    [Fact]
    public async Task Error_6_fails_the_checkpoint_and_the_next_one_may_succeed()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(0, 4096, 0x22);
        pair.Epochs.FailsToCommit = true;
        ReplicationException failed = await Should.ThrowAsync<ReplicationException>(async () => await pair.Primary.CheckpointAsync(One));
        failed.Fault.ShouldBe(ReplicationFault.CheckpointFailed);
        failed.Message.ShouldContain("cannot be recorded");
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.MakeEmpty);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x01);
        pair.Epochs.FailsToCommit = false;
        await pair.Primary.CheckpointAsync(One);
        pair.Secondary.GetError(One).ShouldBeNull();
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x22);
    }

    [Fact]
    public async Task Error_6_where_fresh_buffers_cannot_be_made()
    {
        await using Pair pair = await OpenAsync();
        pair.Epochs.FailsToPrepare = true;
        (await Should.ThrowAsync<ReplicationException>(async () => await pair.Secondary.StartAsync(One, filling: false)))
            .Error!.Number.ShouldBe(ReplicationError.MakeEmpty);
        pair.Epochs.FailsToPrepare = false;
        await pair.Secondary.StartAsync(One, filling: false);
        pair.Secondary.State.ShouldBe(ReplicationState.Running);
    }

    [Fact]
    public async Task Error_6_where_the_buffers_cannot_be_emptied_at_start()
    {
        await using Pair pair = await OpenAsync(
            prepare: p => p.Epochs.OnPrepared = (hidden, _) => hidden.Fault = (op, _) => op == "empty" ? BlockStatus.IoError : BlockStatus.Ok);
        (await Should.ThrowAsync<ReplicationException>(async () => await pair.Secondary.StartAsync(One, filling: false)))
            .Error!.Number.ShouldBe(ReplicationError.MakeEmpty);
        pair.Secondary.State.ShouldBe(ReplicationState.None);
    }

    [Fact]
    public async Task Error_7_leaves_a_serving_device_whose_writes_follow_the_rule_of_FAILOVER_FAILED()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(0, 8192, 0x22);
        await pair.Secondary.VmView.WriteAsync(8192, 4096, 0x33);
        pair.SecondaryDisk.Fault = (op, offset) => op == "write" && offset == 0 ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LastCheckpoint);
        (await pair.Secondary.CommitCompletion).ShouldBeFalse();
        pair.Secondary.State.ShouldBe(ReplicationState.FailoverFailed);
        pair.Secondary.GetError(One.Next())!.Number.ShouldBe(ReplicationError.FailoverCommit);

        IBlockDevice served = pair.Secondary.ServingDevice;
        await served.WriteAsync(4096, 2048, 0x44);
        await served.WriteAsync(12288, 4096, 0x55);
        pair.SecondaryDisk.Content.ShouldHold(4096, 4096, 0x22);
        pair.SecondaryDisk.Content.ShouldHold(12288, 4096, 0x55);
        await served.ShouldHoldAsync(0, 4096, 0x01);
        await served.ShouldHoldAsync(4096, 2048, 0x44);
        await served.ShouldHoldAsync(6144, 2048, 0x01);
        await served.ShouldHoldAsync(8192, 4096, 0x33);
        await served.ShouldHoldAsync(12288, 4096, 0x55);

        // The disk works again: the same call tries again, and all is where it belongs.
        pair.SecondaryDisk.Fault = null;
        await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LastCheckpoint);
        (await pair.Secondary.CommitCompletion).ShouldBeTrue();
        pair.Secondary.State.ShouldBe(ReplicationState.Done);
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0x01);
        pair.SecondaryDisk.Content.ShouldHold(4096, 2048, 0x44);
        pair.SecondaryDisk.Content.ShouldHold(6144, 2048, 0x01);
        pair.SecondaryDisk.Content.ShouldHold(8192, 4096, 0x33);
        pair.SecondaryDisk.Content.ShouldHold(12288, 4096, 0x55);
    }

    [Fact]
    public async Task The_first_error_since_the_last_checkpoint_is_kept_and_each_is_reported()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        pair.Epochs.Active.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Secondary.VmView.WriteAsync(0, 4096, 0x22, BlockStatus.IoError);
        pair.Epochs.Hidden.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Secondary.OpenTarget(One).WriteAsync(0, 4096, 0x22, BlockStatus.IoError);
        pair.Secondary.GetError(One)!.Number.ShouldBe(ReplicationError.ActiveDisk);
        pair.SecondaryNews.Errors.Select(error => error.Number)
            .ShouldBe([ReplicationError.ActiveDisk, ReplicationError.Backup]);
    }
}
