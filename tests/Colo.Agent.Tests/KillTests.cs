using Colo.AgentApi;
using Colo.Testing;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>SIGKILL and restart of either agent. Each test has a pair of its own.</summary>
public class KillTests
{
    [Fact]
    public async Task A_primary_that_was_killed_and_comes_back_serves_what_it_acknowledged_and_joins_its_secondary_again()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("restart");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x11, "0", "1M");
        await pair.A.KillAsync();
        await pair.A.StartAsync();
        await Guest.ExpectAsync(pair.A.GuestUri(uid), 0x11, "0", "1M");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x12, "1M", "1M");
        VolumeStatus status = await pair.A.StatusAsync(uid);
        status.State.ShouldBe(ReplicaState.Running, pair.A.Log);
        status.Connected.ShouldBeTrue();
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
        await Guest.ExpectDiskAsync(pair.B.DiskPath(uid), 0x12, "1M", "1M");
        await pair.A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
    }

    [Fact]
    public async Task After_a_clean_shutdown_of_both_nothing_is_copied_and_the_pair_is_in_sync_at_once()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("clean");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x21, "0", "1M");
        (await pair.A.TerminateAsync()).ShouldBe(0);
        (await pair.B.TerminateAsync()).ShouldBe(0);
        await pair.B.StartAsync();
        await pair.A.StartAsync();
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x22, "1M", "1M");
        pair.A.Log.ShouldContain("resync None");
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
        await Guest.ExpectDiskAsync(pair.B.DiskPath(uid), 0x22, "1M", "1M");
    }

    [Fact]
    public async Task After_the_primary_is_killed_the_promoted_secondary_has_every_acknowledged_write()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("promote");
        await using RunningTool writer = Writer(pair.A.GuestUri(uid));
        await Eventually.TrueAsync(() => Acknowledged(writer) > 200, "the writer is under way");
        await pair.A.KillAsync();
        long term = pair.RecordTakeover(uid);
        await pair.B.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true });
        await writer.WaitAsync();
        await ExpectAcknowledgedAsync(writer, pair.B.GuestUri(uid));
    }

    [Fact]
    public async Task When_the_secondary_is_killed_writes_go_on_only_after_Stale_is_recorded_and_a_full_copy_makes_both_equal()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("secondary");
        await pair.B.KillAsync();
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x31, "0", "1M");
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale);
        VolumeStatus alone = await pair.A.StatusAsync(uid);
        alone.State.ShouldBe(ReplicaState.Alone);
        alone.Error.Name.ShouldBe("Forward");

        await pair.B.StartAsync();
        await Eventually.TrueAsync(
            async () => (await pair.B.StatusAsync(uid)).State == ReplicaState.Prepared, "b knows that it misses writes");
        await pair.B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1) });
        await pair.A.Client.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(uid, 1), Peer = pair.PeerB, Wait = true });
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
    }

    [Fact]
    public async Task Without_an_answer_of_the_arbiter_a_write_that_lost_its_secondary_is_held_and_reads_go_on()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("held");
        string record = new VolumeRecordFile(pair.ArbiterDirectory, uid).Path;
        string good = await File.ReadAllTextAsync(record);
        await File.WriteAllTextAsync(record, "unreadable");
        await pair.B.KillAsync();
        await using RunningTool write = RunningTool.Start("qemu-io", ["-f", "raw", "-c", "write -P 0x41 0 4k", pair.A.GuestUri(uid)]);
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)).Suspended, "the primary holds");
        await Guest.ExpectAsync(pair.A.GuestUri(uid), 0, "1M", "4k");
        write.Process.HasExited.ShouldBeFalse();

        await File.WriteAllTextAsync(record, good);
        (await write.WaitAsync()).EnsureSuccess().ShouldContain("wrote 4096");
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale);
    }

    [Fact]
    public async Task A_restarted_primary_without_an_answer_of_the_arbiter_holds_all_IO_until_it_comes()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("confirm");
        await pair.A.KillAsync();
        string record = new VolumeRecordFile(pair.ArbiterDirectory, uid).Path;
        File.Move(record, record + ".away");
        await pair.A.StartAsync();
        (await pair.A.StatusAsync(uid)).State.ShouldBe(ReplicaState.WaitingArbiter);
        await using RunningTool read = RunningTool.Start("qemu-io", ["-r", "-f", "raw", "-c", "read -P 0 0 4k", pair.A.GuestUri(uid)]);
        File.Move(record + ".away", record);
        (await read.WaitAsync()).EnsureSuccess().ShouldContain("read 4096");
    }

    [Fact]
    public async Task A_killed_primary_that_comes_back_after_the_failover_serves_nothing()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("late");
        await pair.A.KillAsync();
        long term = pair.RecordTakeover(uid);
        await pair.B.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true });
        await pair.A.StartAsync();
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)).State == ReplicaState.Fenced, "a is fenced");
        ToolResult write = await Guest.IoAsync(pair.A.GuestUri(uid), "write -P 9 0 4k");
        (write.Output + write.Error).ShouldContain("failed");
    }

    [Fact]
    public async Task A_secondary_keeps_what_a_failover_needs_however_long_the_promotion_takes()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("slow", RecoveryPoint.LastCheckpoint);
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x61, "0", "1M");
        await pair.A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x62, "0", "1M");
        await pair.A.KillAsync();
        long term = pair.RecordTakeover(uid);

        // Long enough for several looks at the record by a secondary that lost its primary; it must not begin anew.
        for (int look = 0; look < 10; look++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(200));
            (await pair.B.StatusAsync(uid)).State.ShouldBe(ReplicaState.Running);
        }

        await pair.B.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true });
        await Guest.ExpectAsync(pair.B.GuestUri(uid), 0x61, "0", "1M");
    }

    [Fact]
    public async Task A_promoted_secondary_that_is_killed_comes_back_as_primary_of_its_term()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await pair.CreateAsync("twice", RecoveryPoint.LastCheckpoint);
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x51, "0", "4M");
        await pair.A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x52, "0", "4M");
        await pair.A.KillAsync();
        long term = pair.RecordTakeover(uid);
        await pair.B.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true });
        await pair.B.KillAsync();
        await pair.B.StartAsync();
        (await pair.B.StatusAsync(uid)).Role.ShouldBe(Role.Primary);
        await Guest.ExpectAsync(pair.B.GuestUri(uid), 0x51, "0", "4M");
    }

    [Fact]
    public async Task A_damaged_state_file_faults_its_volume_and_no_other()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        pair.CreateRecord("good");
        pair.CreateRecord("bad");
        pair.CreateRecord("short");
        foreach (string uid in new[] { "good", "bad", "short" })
        {
            await pair.A.Client.PrepareAsync(Request(uid, 1, Role.Primary));
        }

        await Guest.WriteAsync(pair.A.GuestUri("good"), 0x61, "0", "4k");
        await pair.A.KillAsync();
        string state = Path.Combine(pair.A.PoolDirectory, "bad", "replica.state");
        byte[] content = await File.ReadAllBytesAsync(state);
        content[^5] ^= 1;
        await File.WriteAllBytesAsync(state, content);
        await using (FileStream disk = File.OpenWrite(pair.A.DiskPath("short")))
        {
            disk.SetLength(SizeBytes / 2);
        }

        await pair.A.StartAsync();
        foreach (string uid in new[] { "bad", "short" })
        {
            VolumeStatus faulted = await pair.A.StatusAsync(uid);
            faulted.State.ShouldBe(ReplicaState.Faulted);
            faulted.Fault.ShouldContain(uid == "bad" ? "checksum" : $"{SizeBytes / 2} bytes");
        }

        await Guest.ExpectAsync(pair.A.GuestUri("good"), 0x61, "0", "4k");
    }

    /// <summary>Writes 4 KiB blocks one by one, each with its own number, and prints the number after the acknowledgement.</summary>
    private static RunningTool Writer(string uri) => RunningTool.Start("/usr/bin/python3", ["-c", $"""
        import nbd, struct, sys
        h = nbd.NBD()
        h.connect_uri({Quoted(uri)})
        n = 0
        try:
            while True:
                n += 1
                h.pwrite(struct.pack('<Q', n) * 512, n % 1024 * 4096)
                print(n, flush=True)
        except nbd.Error:
            pass
        """]);

    private static int Acknowledged(RunningTool writer) =>
        writer.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries) is [.., var last] && int.TryParse(last, out int number) ? number : 0;

    /// <summary>Each slot holds the newest acknowledged number of its own, or the one that was in flight.</summary>
    private static async Task ExpectAcknowledgedAsync(RunningTool writer, string uri)
    {
        int last = Acknowledged(writer);
        (await Tool.RunAsync("/usr/bin/python3", "-c", $"""
            import nbd, struct
            last = {last}
            h = nbd.NBD()
            h.connect_uri({Quoted(uri)})
            for slot in range(1024):
                block = h.pread(4096, slot * 4096)
                numbers = set(struct.unpack('<512Q', block))
                newest = last - (last - slot) % 1024
                if newest < 1: newest = 0
                allowed = [newest]
                if (last + 1) % 1024 == slot: allowed.append(last + 1)
                assert len(numbers) == 1 and numbers.pop() in allowed, (slot, last, block[:8], allowed)
            """)).EnsureSuccess();
    }

    private static string Quoted(string text) => "'" + text + "'";
}
