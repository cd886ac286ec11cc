using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using static Colo.Replication.Tests.Kit.Pair;

namespace Colo.Replication.Tests;

/// <summary>The primary half of the scenarios of QEMU's tests/unit/test-replication.c, each with comparisons that can fail.</summary>
public sealed class QemuPrimaryScenarios
{
    [Fact]
    public async Task Primary_read()
    {
        await using Pair pair = await OpenAsync();
        pair.PrimaryDisk.Content.Slice(8192, 4096).Fill(0x11);
        await pair.Primary.ShouldHoldAsync(8192, 4096, 0x11);
        await pair.Primary.ShouldHoldAsync(4096, 4096, 0);
    }

    [Fact]
    public async Task Primary_write()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(4096, 8192, 0x22);
        pair.PrimaryDisk.Content.ShouldHold(4096, 8192, 0x22);
        pair.SecondaryDisk.Content.ShouldHold(4096, 8192, 0x22);
        pair.PrimaryDisk.Content.ShouldHold(0, 4096, 0x01);
        pair.SecondaryDisk.Content.ShouldHold(12288, 4096, 0x01);
    }

    [Fact]
    public async Task Primary_start_records_the_secondary_and_refuses_a_second_one()
    {
        await using Pair pair = await RunningAsync();
        pair.Primary.State.ShouldBe(ReplicationState.Running);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.InSync);
        pair.Arbiter.Record.Secondary.ShouldBe(SecondaryNode);
        LoopLink second = new(pair.Secondary.OpenTarget(One), "node-c");
        ReplicationException refused = await Should.ThrowAsync<ReplicationException>(
            async () => await pair.Primary.AttachSecondaryAsync(One, second, ResyncMode.Full));
        refused.Fault.ShouldBe(ReplicationFault.WrongState);
        second.IsClosed.ShouldBeTrue();
        await pair.Primary.WriteAsync(0, 4096, 0x33);
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0x33);
    }

    [Fact]
    public async Task Primary_start_before_the_secondary_was_started_fails_and_acknowledges_nothing_on_its_account()
    {
        await using Pair pair = await OpenAsync();
        await pair.Primary.StartAsync(One, pair.NewLink(), ResyncMode.None);
        await pair.Primary.WriteAsync(0, 4096, 0x44);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
        pair.Primary.GetError(One)!.Number.ShouldBe(ReplicationError.Forward);
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0);
    }

    [Fact]
    public async Task Primary_start_with_a_disk_of_another_length_is_refused()
    {
        await using Pair pair = await OpenAsync();
        await pair.Secondary.StartAsync(One, filling: false);
        LoopLink link = new(pair.Secondary.OpenTarget(One), SecondaryNode) { LengthBytes = (1 << 20) + 4096 };
        ReplicationException refused = await Should.ThrowAsync<ReplicationException>(
            async () => await pair.Primary.StartAsync(One, link, ResyncMode.None));
        refused.Fault.ShouldBe(ReplicationFault.Mismatch);
        refused.Message.ShouldContain("1048576");
        pair.Primary.State.ShouldBe(ReplicationState.None);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Primary_stop(bool failover)
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.WriteAsync(0, 4096, 0x55);
        await pair.Primary.StopAsync(One, failover);
        pair.Primary.State.ShouldBe(ReplicationState.Done);
        pair.Primary.ServeState.ShouldBe(ServeState.Alone);
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Stale);
        pair.Link.Log.Contains("checkpoint").ShouldBe(!failover);
        await pair.Primary.WriteAsync(0, 4096, 0x56);
        pair.PrimaryDisk.Content.ShouldHold(0, 4096, 0x56);
        pair.SecondaryDisk.Content.ShouldHold(0, 4096, 0x55);

        // Asked again, as in QEMU: nothing happens.
        await pair.Primary.StopAsync(One, failover);
        await pair.Primary.CheckpointAsync(One);
        pair.Primary.State.ShouldBe(ReplicationState.Done);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Primary_do_checkpoint(bool inOrder)
    {
        await using Pair pair = await RunningAsync(
            fill: 0x01, link: target => new LoopLink(target, SecondaryNode) { CarriesCheckpoints = inOrder });
        await pair.Primary.WriteAsync(0, 4096, 0x66);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x01);
        CheckpointReport report = await pair.Primary.CheckpointAsync(One);
        report.Epoch.ShouldBe(1);
        pair.Primary.Epoch.ShouldBe(2);
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0x66);
    }

    [Fact]
    public async Task Primary_do_checkpoint_before_start_is_refused()
    {
        await using Pair pair = await OpenAsync();
        (await Should.ThrowAsync<ReplicationException>(async () => await pair.Primary.CheckpointAsync(One)))
            .Fault.ShouldBe(ReplicationFault.WrongState);
    }

    [Fact]
    public async Task Primary_get_error_all()
    {
        await using Pair pair = await RunningAsync();
        pair.Primary.GetError(One).ShouldBeNull();
        pair.Link.Fault = (op, _) => op == "write" ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.WriteAsync(4096, 4096, 0x77);
        LatchedError error = pair.Primary.GetError(One).ShouldNotBeNull();
        error.Number.ShouldBe(ReplicationError.Forward);
        error.Message.ShouldContain("[4096, 8192)");
    }
}
