using Colo.AgentApi;
using Colo.Testing;
using Grpc.Core;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>Two processes, one volume: replication, checkpoint and failover, seen through qemu-io and qemu-img.</summary>
public class ReplicationTests(PairFixture fixture) : IClassFixture<PairFixture>
{
    private AgentPair Pair => fixture.Pair;

    private AgentUnderTest A => fixture.Pair.A;

    private AgentUnderTest B => fixture.Pair.B;

    [Fact]
    public async Task The_VM_view_keeps_the_old_content_until_the_checkpoint()
    {
        string uid = await Pair.CreateAsync("view");
        await Guest.WriteAsync(A.GuestUri(uid), 0x11, "1M", "128k");
        await Guest.ExpectAsync(B.VmViewUri(uid), 0, "1M", "128k");
        CheckpointReply reply = await A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.ExpectAsync(B.VmViewUri(uid), 0x11, "1M", "128k");
        VolumeStatus secondary = await B.StatusAsync(uid);
        secondary.LastCheckpoint.ShouldNotBeNull();
        reply.Pause.ToTimeSpan().ShouldBe(TimeSpan.Zero, "our own agents carry the checkpoint in order, and hold nothing");
    }

    [Fact]
    public async Task An_acknowledged_write_is_on_both_disks()
    {
        string uid = await Pair.CreateAsync("both");
        await Guest.WriteAsync(A.GuestUri(uid), 0x22, "4k", "60k");
        await Guest.ExpectEqualAsync(A.DiskPath(uid), B.DiskPath(uid));
        await Guest.ExpectAsync(A.GuestUri(uid), 0x22, "4k", "60k");
    }

    [Fact]
    public async Task Failover_to_the_latest_write_serves_every_acknowledged_write()
    {
        string uid = await Pair.CreateAsync("latest");
        await Guest.WriteAsync(A.GuestUri(uid), 0x31, "0", "64k");
        await A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.WriteAsync(A.GuestUri(uid), 0x32, "0", "64k");
        VolumeStatus promoted = await FailOverAsync(uid, RecoveryPoint.LatestWrite);
        promoted.Role.ShouldBe(Role.Primary);
        promoted.FailoverDuration.ShouldNotBeNull();
        await Guest.ExpectAsync(B.GuestUri(uid), 0x32, "0", "64k");
    }

    [Fact]
    public async Task Failover_to_the_last_checkpoint_serves_that_moment_and_commits_it()
    {
        string uid = await Pair.CreateAsync("checkpointed", RecoveryPoint.LastCheckpoint);
        await Guest.WriteAsync(A.GuestUri(uid), 0x41, "0", "64k");
        await A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.WriteAsync(A.GuestUri(uid), 0x42, "0", "64k");
        await Guest.WriteAsync(A.GuestUri(uid), 0x43, "8M", "64k");
        await FailOverAsync(uid, RecoveryPoint.LastCheckpoint);
        await Guest.ExpectAsync(B.GuestUri(uid), 0x41, "0", "64k");
        await Guest.ExpectAsync(B.GuestUri(uid), 0, "8M", "64k");
        await Guest.WriteAsync(B.GuestUri(uid), 0x44, "1M", "64k");
        await Eventually.TrueAsync(
            async () => (await B.StatusAsync(uid)).State == ReplicaState.Prepared, "the buffer is committed and b serves alone");
        await B.Client.ReleaseAsync(new ReleaseRequest { Volume = Ref(uid, 2) });
        await Guest.ExpectDiskAsync(B.DiskPath(uid), 0x41, "0", "64k");
        await Guest.ExpectDiskAsync(B.DiskPath(uid), 0x44, "1M", "64k");
    }

    [Fact]
    public async Task The_former_primary_is_fenced_by_the_newer_record()
    {
        string uid = await Pair.CreateAsync("fenced");
        await FailOverAsync(uid, RecoveryPoint.LatestWrite);
        ToolResult write = await Guest.IoAsync(A.GuestUri(uid), "write -P 9 0 4k");
        (write.Output + write.Error).ShouldContain("write failed");
        await Eventually.TrueAsync(async () => (await A.StatusAsync(uid)).State == ReplicaState.Fenced, "a is fenced");
        await Guest.ExpectAsync(B.GuestUri(uid), 0, "0", "4k");
    }

    [Fact]
    public async Task A_former_primary_comes_back_as_secondary_and_is_byte_equal()
    {
        string uid = await Pair.CreateAsync("back");
        await Guest.WriteAsync(A.GuestUri(uid), 0x51, "0", "1M");
        await FailOverAsync(uid, RecoveryPoint.LatestWrite);
        await Guest.WriteAsync(B.GuestUri(uid), 0x52, "512k", "1M");
        await A.Client.PrepareAsync(Request(uid, 2, Role.Secondary));
        await A.Client.StartAsync(new StartRequest { Volume = Ref(uid, 2) });
        await B.Client.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(uid, 2), Peer = Pair.PeerA, Wait = true });
        Pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
        Pair.Record(uid).Secondary.ShouldBe("a");
        await Guest.ExpectEqualAsync(A.DiskPath(uid), B.DiskPath(uid));

        // And the other way round again.
        long term = Pair.RecordTakeover(uid);
        await A.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true });
        await Guest.ExpectAsync(A.GuestUri(uid), 0x52, "512k", "1M");
    }

    [Fact]
    public async Task A_promotion_that_is_told_again_leaves_the_pair_as_it_is()
    {
        string uid = await Pair.CreateAsync("again");
        await FailOverAsync(uid, RecoveryPoint.LatestWrite);
        await A.Client.PrepareAsync(Request(uid, 2, Role.Secondary));
        await A.Client.StartAsync(new StartRequest { Volume = Ref(uid, 2) });
        await B.Client.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(uid, 2), Peer = Pair.PeerA, Wait = true });
        VolumeStatus again = await B.Client.StopAsync(
            new StopRequest { Volume = Ref(uid, 2), Failover = true, RecoveryPoint = RecoveryPoint.LatestWrite });
        again.State.ShouldBe(ReplicaState.Running);
        again.Connected.ShouldBeTrue();
        Pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
    }

    [Fact]
    public async Task A_replication_connection_of_a_lower_term_is_refused_with_a_sentence()
    {
        string uid = await Pair.CreateAsync("connection");
        await FailOverAsync(uid, RecoveryPoint.LatestWrite);
        await A.Client.PrepareAsync(Request(uid, 2, Role.Secondary));
        await A.Client.StartAsync(new StartRequest { Volume = Ref(uid, 2) });
        ToolResult old = await Tool.RunAsync("qemu-img", "info", $"nbd://{A.ReplicationAddress}/{uid}@1");
        old.ExitCode.ShouldNotBe(0);
        old.Error.ShouldContain("term 1 of volume connection is over");
        (await Tool.RunAsync("nbdinfo", "--size", $"nbd://{A.ReplicationAddress}/{uid}@2")).EnsureSuccess().Trim().ShouldBe($"{SizeBytes}");
    }

    [Fact]
    public async Task Stop_without_failover_ends_with_a_last_checkpoint()
    {
        string uid = await Pair.CreateAsync("stop");
        await Guest.WriteAsync(A.GuestUri(uid), 0x61, "0", "64k");
        VolumeStatus stopped = await A.Client.StopAsync(new StopRequest { Volume = Ref(uid, 1) });
        stopped.State.ShouldBe(ReplicaState.Done);
        await Guest.ExpectDiskAsync(B.DiskPath(uid), 0x61, "0", "64k");
        Pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale, "from here on a serves alone");
    }

    [Fact]
    public async Task Detach_records_Stale_and_the_guest_goes_on()
    {
        string uid = await Pair.CreateAsync("detach");
        await A.Client.DetachSecondaryAsync(new DetachSecondaryRequest { Volume = Ref(uid, 1) });
        Pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale);
        await Guest.WriteAsync(A.GuestUri(uid), 0x71, "0", "4k");
        (await A.StatusAsync(uid)).State.ShouldBe(ReplicaState.Alone);
    }

    [Fact]
    public async Task A_secondary_that_was_left_behind_begins_anew_and_is_filled_without_a_second_Start()
    {
        string uid = await Pair.CreateAsync("anew");
        await A.Client.DetachSecondaryAsync(new DetachSecondaryRequest { Volume = Ref(uid, 1) });
        await Guest.WriteAsync(A.GuestUri(uid), 0x72, "0", "2M");
        await Eventually.TrueAsync(
            async () => (await B.StatusAsync(uid)).State == ReplicaState.Prepared, "b has dropped the buffer of the term it missed writes of");
        await B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1) });
        await A.Client.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(uid, 1), Peer = Pair.PeerB, Wait = true });
        await Guest.ExpectEqualAsync(A.DiskPath(uid), B.DiskPath(uid));
        await Guest.ExpectAsync(B.VmViewUri(uid), 0x72, "0", "2M");
    }

    [Fact]
    public async Task A_checkpoint_at_the_buffer_limit_is_asked_for()
    {
        string uid = await Pair.CreateAsync("pressure", bufferBytes: 16 << 20);
        // Data first: what was a hole costs the buffer next to nothing.
        await Guest.WriteAsync(A.GuestUri(uid), 1, "0", "16M");
        await A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.WriteAsync(A.GuestUri(uid), 2, "0", "1M");
        VolumeStatus full = await B.StatusAsync(uid);
        full.CheckpointWanted.ShouldBeFalse();
        for (int megabyte = 1; !full.CheckpointWanted && megabyte < 16; megabyte++)
        {
            await Guest.WriteAsync(A.GuestUri(uid), 2, $"{megabyte}M", "1M");
            full = await B.StatusAsync(uid);
        }

        full.CheckpointWanted.ShouldBeTrue();
        full.BufferedBytes.ShouldBeInRange(4 << 20, full.BufferLimitBytes);
        await A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        VolumeStatus empty = await B.StatusAsync(uid);
        empty.CheckpointWanted.ShouldBeFalse();
        empty.BufferedBytes.ShouldBeLessThan(full.BufferedBytes / 2);
    }

    [Fact]
    public async Task Buffers_are_images_that_qemu_img_reads_as_the_last_checkpoint()
    {
        string uid = await Pair.CreateAsync("images");
        await Guest.WriteAsync(A.GuestUri(uid), 0x81, "0", "64k");
        await A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.WriteAsync(A.GuestUri(uid), 0x82, "0", "64k");
        string active = Directory.EnumerateFiles(Path.Combine(B.BufferDirectory, "b", uid), "active-*.qcow2").Order().First();
        string hidden = active.Replace("active", "hidden", StringComparison.Ordinal);
        string overDisk = $"driver=qcow2,file.filename={hidden},backing.driver=raw,backing.file.filename={B.DiskPath(uid)},backing.file.locking=off";
        ToolResult check = await Tool.RunAsync("qemu-img", "check", "-U", "--image-opts", overDisk);

        // 3: clusters that are reserved and not used yet count as leaked; a corrupt image would be 2.
        check.ExitCode.ShouldBeOneOf(0, 3);
        ToolResult read = await Tool.RunAsync("qemu-io", "-r", "-U", "--image-opts", "-c", "read -P 0x81 0 64k", overDisk);
        read.EnsureSuccess().ShouldNotContain("verification failed");
    }

    private async Task<VolumeStatus> FailOverAsync(string uid, RecoveryPoint recoveryPoint)
    {
        long term = Pair.RecordTakeover(uid);
        return await B.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true, RecoveryPoint = recoveryPoint });
    }
}
