using System.Diagnostics;
using System.Globalization;
using Colo.Agent.Hosting;
using Colo.Agent.Options;
using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Nbd.Server;
using Colo.Testing;
using Colo.Testing.Qemu;
using Grpc.Core;
using Microsoft.Extensions.Logging.Abstractions;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>A real colo-agent on one side, QEMU's own replication driver on the other, in both roles.</summary>
public sealed class QemuPeerTests : IDisposable
{
    private const string PlainName = "plain";
    private const string QemuNode = "qemu";

    private static readonly PeerNames AnyPeer = new(new TlsOptions(), NullLogger<PeerNames>.Instance);

    private readonly TempDirectory directory = new(onTmpfs: true);

    private string Arbiter => directory.File("arbiter");

    [Fact]
    public async Task A_QEMU_primary_replicates_into_an_agent_by_the_plain_export_name()
    {
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("b", directory.Path, Arbiter);
        await using QemuPrimary primary = await QemuPrimary.LaunchAsync(directory.Path, SizeBytes);
        const string uid = "fromqemu";
        CreateRecord(new(uid, 1, QemuNode, "b", SecondaryState.InSync));
        PrepareRequest prepare = Request(uid, 1, Role.Secondary);
        prepare.PlainExportName = PlainName;
        await agent.Client.PrepareAsync(prepare);
        await agent.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1), Resync = ResyncMode.None });
        await primary.StartAsync(PortOf(agent.ReplicationAddress), PlainName);
        await Eventually.TrueAsync(async () => (await agent.StatusAsync(uid)).Connected, "the agent counts QEMU's connection");

        byte before = 0;
        foreach (byte pattern in new byte[] { 0x11, 0x22 })
        {
            await Guest.WriteAsync(UriOf(primary), pattern, "1000k", "300k");
            await Guest.ExpectAsync(agent.VmViewUri(uid), before, "1000k", "300k");

            await primary.CheckpointAsync();
            await agent.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });

            await Guest.ExpectAsync(agent.VmViewUri(uid), pattern, "1000k", "300k");
            await Guest.ExpectEqualAsync(primary.DiskPath, agent.DiskPath(uid));
            before = pattern;
        }

        VolumeStatus status = await agent.StatusAsync(uid);
        status.CheckpointSequence.ShouldBe(2);
        status.Error.ShouldBeNull();
        (await primary.Process.HasReplicationErrorAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task An_agent_replicates_into_a_QEMU_secondary_and_checkpoints_it_by_QMP()
    {
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("a", directory.Path, Arbiter);
        await using QemuSecondary secondary = await QemuSecondary.LaunchAsync(directory.Path, SizeBytes);
        await secondary.StartAsync();
        const string uid = "toqemu";
        await ReplicateAsync(agent, uid, PeerOf(secondary));

        byte before = 0;
        foreach (byte pattern in new byte[] { 0x11, 0x22 })
        {
            await Guest.WriteAsync(agent.GuestUri(uid), pattern, "1000k", "300k");
            await Guest.ExpectAsync(ViewOf(secondary), before, "1000k", "300k");

            await CheckpointAsync(agent, uid);

            await Guest.ExpectAsync(ViewOf(secondary), pattern, "1000k", "300k");
            await Guest.ExpectEqualAsync(agent.DiskPath(uid), secondary.DiskPath);
            before = pattern;
        }

        // The first one was Start's: it gives the secondary VM its first view.
        (await agent.StatusAsync(uid)).CheckpointSequence.ShouldBe(3);
        (await secondary.Process.HasReplicationErrorAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task A_checkpoint_holds_a_writing_guest_while_QEMU_takes_it_and_both_disks_stay_equal()
    {
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("a", directory.Path, Arbiter);
        await using QemuSecondary secondary = await QemuSecondary.LaunchAsync(directory.Path, SizeBytes);
        await secondary.StartAsync();
        const string uid = "busy";
        await ReplicateAsync(agent, uid, PeerOf(secondary));
        const int writes = 4000;
        Task<ToolResult> writing = Tool.RunAsync(
            "qemu-img", "bench", "-f", "raw", "-w", "-c", $"{writes}", "-d", "16", "-s", "4k", "-S", "12k", "--pattern=85", agent.GuestUri(uid));

        int amidWrites = 0;
        while (!writing.IsCompleted)
        {
            // QEMU aborts where a write reaches it in the middle of a checkpoint: its staying alive is the proof of the drain.
            await CheckpointAsync(agent, uid);
            amidWrites += (await agent.StatusAsync(uid)).Io.Write.Requests is > 0 and < writes ? 1 : 0;
        }

        amidWrites.ShouldBeGreaterThan(0);
        (await writing).EnsureSuccess();
        await CheckpointAsync(agent, uid);
        await Guest.ExpectEqualAsync(agent.DiskPath(uid), secondary.DiskPath);
        (await secondary.Process.HasReplicationErrorAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task The_checkpoint_after_a_QEMU_secondary_was_killed_fails_with_the_reason_and_writes_go_on_once_Stale_is_recorded()
    {
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("a", directory.Path, Arbiter);
        await using QemuSecondary secondary = await QemuSecondary.LaunchAsync(directory.Path, SizeBytes);
        await secondary.StartAsync();
        const string uid = "killed";
        await ReplicateAsync(agent, uid, PeerOf(secondary));
        await Guest.WriteAsync(agent.GuestUri(uid), 0x11, "0", "64k");
        await CheckpointAsync(agent, uid);

        using (Process qemu = Process.GetProcessById(secondary.Process.Pid))
        {
            qemu.Kill();
            await qemu.WaitForExitAsync();
        }

        RpcException failure = await Should.ThrowAsync<RpcException>(() => CheckpointAsync(agent, uid));
        failure.StatusCode.ShouldBe(StatusCode.Aborted);
        // Whichever the agent met first: the closed NBD connection, or the monitor that is gone.
        failure.Status.Detail.ShouldMatch("the server closed the connection|QMP at .*: Connection refused");

        await Guest.WriteAsync(agent.GuestUri(uid), 0x33, "64k", "64k");
        Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale);
        (await agent.StatusAsync(uid)).State.ShouldBe(ReplicaState.Alone);
        failure = await Should.ThrowAsync<RpcException>(() => CheckpointAsync(agent, uid));
        failure.Status.Detail.ShouldContain("there is no secondary (Alone: the link to qemu is lost");
        await Guest.ExpectAsync(agent.GuestUri(uid), 0x33, "64k", "64k");
    }

    [Fact]
    public async Task A_QEMU_that_refuses_the_first_checkpoint_is_let_go_with_its_words_and_is_taken_once_it_was_started()
    {
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("a", directory.Path, Arbiter);
        await using QemuSecondary neverStarted = await QemuSecondary.LaunchAsync(directory.Path, SizeBytes);
        const string uid = "refused";
        await PrepareAsync(agent, uid);

        RpcException failure = await Should.ThrowAsync<RpcException>(() => StartAsync(agent, uid, PeerOf(neverStarted)));

        failure.StatusCode.ShouldBe(StatusCode.Aborted);
        failure.Status.Detail.ShouldContain(": Backup job was cancelled unexpectedly");
        Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale);

        await neverStarted.StartAsync();
        await StartAsync(agent, uid, PeerOf(neverStarted));
        Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
    }

    [Fact]
    public async Task A_secondary_without_a_QMP_monitor_to_ask_is_not_taken_and_the_address_is_named()
    {
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("a", directory.Path, Arbiter);
        await using QemuSecondary secondary = await QemuSecondary.LaunchAsync(directory.Path, SizeBytes);
        await secondary.StartAsync();
        const string uid = "nomonitor";
        Peer peer = PeerOf(secondary);
        peer.QmpAddress = "unix:" + directory.File("nobody.qmp");
        await PrepareAsync(agent, uid);

        RpcException failure = await Should.ThrowAsync<RpcException>(() => StartAsync(agent, uid, peer));

        failure.StatusCode.ShouldBe(StatusCode.Aborted);
        failure.Status.Detail.ShouldContain(peer.QmpAddress);
        Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale);
    }

    [Fact]
    public async Task A_copy_that_misses_writes_is_refused_by_its_plain_name_too()
    {
        await using MemoryDisk disk = new(1 << 20);
        ReplicationExports exports = new(AnyPeer, NullLogger<ReplicationExports>.Instance);
        string? refusal = null;
        exports.Serve("plainly", 1, new SecondaryExports(new("plainly@1", disk), new(PlainName, disk), Lineage: null), _ => new(refusal));
        (await exports.FindAsync(PlainName, new("here"), CancellationToken.None)).Export.ShouldNotBeNull();

        refusal = "it misses writes";

        NbdExportAnswer answer = await exports.FindAsync(PlainName, new("here"), CancellationToken.None);
        answer.Export.ShouldBeNull();
        answer.Message.ShouldContain(refusal);
    }

    [Fact]
    public async Task A_plain_name_of_two_volumes_is_refused_and_names_both()
    {
        await using MemoryDisk disk = new(1 << 20);
        ReplicationExports exports = new(AnyPeer, NullLogger<ReplicationExports>.Instance);
        exports.Serve("one", 1, new SecondaryExports(new("one@1", disk), new(PlainName, disk), Lineage: null), _ => default);
        exports.Serve("two", 1, new SecondaryExports(new("two@1", disk), new(PlainName, disk), Lineage: null), _ => default);

        NbdExportAnswer answer = await exports.FindAsync(PlainName, new("here"), CancellationToken.None);
        answer.Export.ShouldBeNull();
        answer.Message.ShouldContain("one");
        answer.Message.ShouldContain("two");
    }

    public void Dispose() => directory.Dispose();

    private async Task ReplicateAsync(AgentUnderTest agent, string uid, Peer peer)
    {
        await PrepareAsync(agent, uid);
        await StartAsync(agent, uid, peer);
        Record(uid).ShouldSatisfyAllConditions(
            record => record.Secondary.ShouldBe(QemuNode), record => record.SecondaryState.ShouldBe(SecondaryState.InSync));
    }

    private async Task PrepareAsync(AgentUnderTest agent, string uid)
    {
        CreateRecord(new(uid, 1, agent.Node, "", SecondaryState.None));
        await agent.Client.PrepareAsync(Request(uid, 1, Role.Primary));
    }

    private static async Task StartAsync(AgentUnderTest agent, string uid, Peer peer) =>
        await agent.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1), Resync = ResyncMode.None, Peer = peer });

    private static Peer PeerOf(QemuSecondary secondary) => new()
    {
        Node = QemuNode,
        ReplicationAddress = "unix:" + secondary.NbdSocket,
        ExportName = QemuSecondary.ForwardExport,
        QmpAddress = "unix:" + secondary.Process.SecondControlSocket,
    };

    private static async Task<CheckpointReply> CheckpointAsync(AgentUnderTest agent, string uid) =>
        await agent.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });

    private static string UriOf(QemuPrimary primary) => $"nbd+unix:///{QemuPrimary.GuestExport}?socket={primary.NbdSocket}";

    private static string ViewOf(QemuSecondary secondary) => $"nbd+unix:///{QemuSecondary.ViewExport}?socket={secondary.NbdSocket}";

    private static int PortOf(string address) => int.Parse(address.AsSpan(address.LastIndexOf(':') + 1), CultureInfo.InvariantCulture);

    private void CreateRecord(VolumeRecord record) => new VolumeRecordFile(Arbiter, record.Uid).TryCreate(record).Done.ShouldBeTrue();

    private VolumeRecord Record(string uid) => new VolumeRecordFile(Arbiter, uid).Read().ShouldNotBeNull();
}
