using Colo.AgentApi;
using Colo.Testing;
using Colo.Testing.Kube;
using Grpc.Core;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests.Cluster;

/// <summary>Two agents whose records are objects of a real API server.</summary>
public sealed class ClusterTests(KubeApiServerFixture kube)
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task The_record_of_a_volume_is_its_objects_status_from_start_over_loss_to_failover()
    {
        await using ClusterPair pair = await ClusterPair.StartAsync(kube.Server, await kube.NewNamespaceAsync());
        string uid = await pair.CreateAsync("disk");
        VolumeRecordObject record = pair.Record("disk", uid);
        VolumeRecord inSync = (await record.ReadAsync(None)).ShouldNotBeNull();
        inSync.SecondaryState.ShouldBe(SecondaryState.InSync);
        (await pair.A.StatusAsync(uid)).RecordRevision.ShouldBe(inSync.Revision);
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x11, "0", "1M");

        // The node of the primary dies; whoever controls records a takeover and promotes.
        await pair.A.KillAsync();
        VolumeRecord next = inSync with { Term = 2, Primary = "b", Secondary = "a", SecondaryState = SecondaryState.Stale };
        await Should.ThrowAsync<RpcException>(async () => await StopAsync(pair.B, uid, 2));
        (await record.TryReplaceAsync(inSync, next, None)).Done.ShouldBeTrue();
        await StopAsync(pair.B, uid, 2);
        await Guest.ExpectAsync(pair.B.GuestUri(uid), 0x11, "0", "1M");
        await Guest.WriteAsync(pair.B.GuestUri(uid), 0x22, "0", "64k");

        // The former primary comes back, reads the record, and serves nothing.
        await pair.A.StartAsync();
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)).State == ReplicaState.Fenced, "the former primary is fenced");
        (await pair.A.StatusAsync(uid)).Fault.ShouldNotBeEmpty();
        (await Guest.IoAsync(pair.A.GuestUri(uid), "write 0 4k")).ExitCode.ShouldNotBe(0);
    }

    [Fact]
    public async Task A_primary_that_restarts_asks_the_API_server_and_attaches_again_without_a_copy()
    {
        await using ClusterPair pair = await ClusterPair.StartAsync(kube.Server, await kube.NewNamespaceAsync());
        string uid = await pair.CreateAsync("disk");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x33, "0", "1M");
        (await pair.A.TerminateAsync()).ShouldBe(0);
        await pair.A.StartAsync();
        await Eventually.TrueAsync(
            async () => await pair.A.StatusAsync(uid) is { Connected: true, SecondaryState: SecondaryState.InSync, Resync: null },
            "attached again");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x34, "64k", "64k");
        await pair.A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.ExpectAsync(pair.B.VmViewUri(uid), 0x34, "64k", "64k");
    }

    [Fact]
    public async Task Without_Kubernetes_an_agent_says_so_to_whoever_names_it_as_the_arbiter()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("a", directory.Path, directory.File("arb"));
        PrepareRequest request = Request("v", 1, Role.Primary);
        request.Arbiter = new() { Kubernetes = true };
        RpcException refused = await Should.ThrowAsync<RpcException>(async () => await agent.Client.PrepareAsync(request));
        refused.StatusCode.ShouldBe(StatusCode.InvalidArgument);
        refused.Status.Detail.ShouldContain("--kubernetes");
    }

    [Fact]
    public async Task While_the_API_server_is_away_a_healthy_pair_writes_on_and_a_lost_secondary_holds_writes_until_it_is_back()
    {
        await using KubeApiServer own = await KubeApiServer.StartAsync();
        await using ClusterPair pair = await ClusterPair.StartAsync(own, "default");
        string uid = await pair.CreateAsync("disk");
        string guest = pair.A.GuestUri(uid);
        await Guest.WriteAsync(guest, 1, "0", "1M");

        // A guest at work all the time: each acknowledged write is remembered and looked for at the end.
        await using AcknowledgedWriter writer = AcknowledgedWriter.Open(guest);
        await own.StopAsync();
        await writer.MoreAsync(50, "writes while the API server is away and both replicas are healthy");
        await Eventually.TrueAsync(
            async () => (await pair.A.ScrapeAsync()).Contains("colo_agent_lease_held{node=\"a\"} 0", StringComparison.Ordinal),
            "the lease is not renewed, and that is seen");
        await writer.MoreAsync(50, "writes go on after it was noticed");

        await pair.B.KillAsync();
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)).Suspended, "acknowledgements are held");
        VolumeStatus held = await pair.A.StatusAsync(uid);
        held.SuspendedReason.ShouldNotBeEmpty();
        long acknowledged = writer.Acknowledged;
        await Guest.ExpectAsync(guest, 1, "0", "64k");
        await Eventually.TrueAsync(
            () => Task.FromResult(pair.A.Log.Contains("the arbiter does not answer", StringComparison.Ordinal)), "the log says why");

        // At most the writes that were answered by both before the loss was seen.
        writer.Acknowledged.ShouldBeLessThanOrEqualTo(acknowledged + 1);

        await own.StartAgainAsync();
        await writer.MoreAsync(50, "writes go on when the API server is back");
        VolumeRecord record = (await pair.Record("disk", uid).ReadAsync(None)).ShouldNotBeNull();
        record.SecondaryState.ShouldBe(SecondaryState.Stale);
        record.Term.ShouldBe(1);
        (await pair.A.StatusAsync(uid)).State.ShouldBe(ReplicaState.Alone);
        await Eventually.TrueAsync(
            async () => (await pair.A.ScrapeAsync()).Contains("colo_agent_lease_held{node=\"a\"} 1", StringComparison.Ordinal),
            "the lease is renewed again");
        await writer.VerifyAsync();
    }

    [Fact]
    public async Task A_primary_that_starts_while_the_API_server_is_away_holds_its_guest_and_goes_on_when_it_is_back()
    {
        await using KubeApiServer own = await KubeApiServer.StartAsync();
        await using ClusterPair pair = await ClusterPair.StartAsync(own, "default");
        string uid = await pair.CreateAsync("disk");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 7, "0", "1M");
        await pair.A.KillAsync();
        await own.FreezeAsync();
        await pair.A.StartAsync();
        VolumeStatus waiting = await pair.A.StatusAsync(uid);
        waiting.State.ShouldBe(ReplicaState.WaitingArbiter);
        Task read = Guest.ExpectAsync(pair.A.GuestUri(uid), 7, "0", "1M");
        read.IsCompleted.ShouldBeFalse();
        await own.ThawAsync();
        await read;
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)).Connected, "attached again");
    }

    private static async Task StopAsync(AgentUnderTest agent, string uid, long term) =>
        await agent.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true });
}
