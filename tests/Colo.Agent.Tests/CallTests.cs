using Colo.AgentApi;
using Grpc.Core;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>What each call refuses, and how it says so. One pair for all; each test has its own volume.</summary>
public class CallTests(PairFixture fixture) : IClassFixture<PairFixture>
{
    private AgentPair Pair => fixture.Pair;

    private AgentUnderTest A => fixture.Pair.A;

    [Fact]
    public async Task Prepare_creates_once_and_adopts_then()
    {
        Pair.CreateRecord("create");
        (await A.Client.PrepareAsync(Request("create", 1, Role.Primary))).Created.ShouldBeTrue();
        PrepareReply again = await A.Client.PrepareAsync(Request("create", 1, Role.Primary));
        again.Created.ShouldBeFalse();
        again.Status.State.ShouldBeOneOf(ReplicaState.Prepared, ReplicaState.WaitingArbiter); // the record is read beside the call
        again.Status.SizeBytes.ShouldBe(SizeBytes);
        new FileInfo(A.DiskPath("create")).Length.ShouldBe(SizeBytes);
    }

    [Theory]
    [InlineData("volume.uid")]
    [InlineData("volume.term")]
    [InlineData("name")]
    [InlineData("role")]
    [InlineData("size_bytes")]
    [InlineData("pool")]
    [InlineData("buffer.limit_bytes")]
    [InlineData("peer.replication_address")]
    [InlineData("peer.node")]
    [InlineData("arbiter.directory")]
    [InlineData("resync.max_bytes_per_second")]
    [InlineData("guest_tcp")]
    public async Task Bad_input_names_the_field(string field)
    {
        PrepareRequest request = Request("input", 1, Role.Primary);
        switch (field)
        {
            case "volume.uid": request.Volume.Uid = "../x"; break;
            case "volume.term": request.Volume.Term = 0; break;
            case "name": request.Name = "a/b"; break;
            case "role": request.Role = Role.Unspecified; break;
            case "size_bytes": request.SizeBytes = 4097; break;
            case "pool": request.Pool = "other"; break;
            case "buffer.limit_bytes": request.Buffer.LimitBytes = 1; break;
            case "peer.replication_address": request.Peer = new Peer { ReplicationAddress = "nowhere" }; break;
            case "peer.node": request.Peer = new Peer { Node = new string('n', 300), ReplicationAddress = "b:1" }; break;
            case "arbiter.directory": request.Arbiter = new Arbiter { Directory = "/" + new string('d', 5000) }; break;
            case "resync.max_bytes_per_second": request.Resync = new Resync { MaxBytesPerSecond = -1 }; break;
            default: request.GuestTcp = true; break;
        }

        Status refused = await RefusedAsync(A.Client.PrepareAsync(request));
        refused.StatusCode.ShouldBe(StatusCode.InvalidArgument);
        refused.Detail.ShouldStartWith(field);
    }

    [Fact]
    public async Task Another_size_of_an_existing_replica_is_refused()
    {
        Pair.CreateRecord("size");
        await A.Client.PrepareAsync(Request("size", 1, Role.Primary));
        PrepareRequest larger = Request("size", 1, Role.Primary);
        larger.SizeBytes *= 2;
        (await RefusedAsync(A.Client.PrepareAsync(larger))).StatusCode.ShouldBe(StatusCode.AlreadyExists);
    }

    [Fact]
    public async Task A_primary_without_a_record_is_refused_and_nothing_is_left_of_it()
    {
        Status refused = await RefusedAsync(A.Client.PrepareAsync(Request("no-record", 1, Role.Primary)));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        Directory.Exists(Path.Combine(A.PoolDirectory, "no-record")).ShouldBeFalse();
        (await RefusedAsync(A.Client.StatusAsync(new StatusRequest { Uid = "no-record" }))).StatusCode.ShouldBe(StatusCode.NotFound);
    }

    [Fact]
    public async Task The_node_that_the_record_does_not_name_cannot_be_primary()
    {
        Pair.CreateRecord("other-node");
        Status refused = await RefusedAsync(Pair.B.Client.PrepareAsync(Request("other-node", 1, Role.Primary)));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        refused.Detail.ShouldContain("names a primary");
    }

    [Fact]
    public async Task A_lower_term_is_refused_by_every_call()
    {
        string uid = await Pair.CreateAsync("lower");
        long term = Pair.RecordTakeover(uid);
        await Pair.B.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true });
        AgentApi.Agent.AgentClient b = Pair.B.Client;
        VolumeRef old = Ref(uid, 1);
        foreach (Func<Task> call in new Func<Task>[]
        {
            async () => await b.PrepareAsync(Request(uid, 1, Role.Secondary)),
            async () => await b.StartAsync(new StartRequest { Volume = old }),
            async () => await b.CheckpointAsync(new CheckpointRequest { Volume = old }),
            async () => await b.GetErrorAsync(new GetErrorRequest { Volume = old }),
            async () => await b.StopAsync(new StopRequest { Volume = old }),
            async () => await b.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = old }),
            async () => await b.DetachSecondaryAsync(new DetachSecondaryRequest { Volume = old }),
            async () => await b.ReleaseAsync(new ReleaseRequest { Volume = old }),
            async () => await b.DeleteAsync(new DeleteRequest { Volume = old }),
        })
        {
            RpcException refused = await Should.ThrowAsync<RpcException>(call);
            refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
            refused.Status.Detail.ShouldContain("term 1 of volume lower is over");
        }
    }

    [Fact]
    public async Task A_call_of_a_term_that_is_not_prepared_is_refused()
    {
        string uid = await Pair.CreateAsync("higher");
        Status refused = await RefusedAsync(A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 9) }));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        refused.Detail.ShouldContain("Prepare");
    }

    [Fact]
    public async Task An_unknown_volume_is_not_found_and_deleting_it_is_a_success()
    {
        (await RefusedAsync(A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref("nobody", 1) }))).StatusCode.ShouldBe(StatusCode.NotFound);
        await A.Client.DeleteAsync(new DeleteRequest { Volume = Ref("nobody", 1) });
    }

    [Fact]
    public async Task Calls_for_the_other_role_are_refused_by_name()
    {
        string uid = await Pair.CreateAsync("roles");
        Status refused = await RefusedAsync(Pair.B.Client.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(uid, 1) }));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        refused.Detail.ShouldContain("is a secondary here");
    }

    [Fact]
    public async Task A_promotion_that_the_record_does_not_show_is_refused_and_the_secondary_goes_on()
    {
        string uid = await Pair.CreateAsync("unrecorded");
        StopRequest promote = new() { Volume = Ref(uid, 2), Failover = true };
        (await RefusedAsync(Pair.B.Client.StopAsync(promote))).StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        await Guest.WriteAsync(A.GuestUri(uid), 7, "0", "4k");
        (await Pair.B.StatusAsync(uid)).State.ShouldBe(ReplicaState.Running);
    }

    [Fact]
    public async Task A_start_without_a_peer_that_answers_is_unavailable_and_may_be_repeated()
    {
        Pair.CreateRecord("no-peer");
        await A.Client.PrepareAsync(Request("no-peer", 1, Role.Primary));
        StartRequest start = new()
        {
            Volume = Ref("no-peer", 1), Resync = ResyncMode.None, Peer = new() { Node = "b", ReplicationAddress = "127.0.0.1:1" },
        };
        (await RefusedAsync(A.Client.StartAsync(start))).StatusCode.ShouldBe(StatusCode.Unavailable);
        start.Peer = Pair.PeerB;
        Status refused = await RefusedAsync(A.Client.StartAsync(start));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        refused.Detail.ShouldContain("no secondary of volume no-peer");
        await Pair.B.Client.PrepareAsync(Request("no-peer", 1, Role.Secondary));
        (await RefusedAsync(A.Client.StartAsync(start))).Detail.ShouldContain("not started yet");
        await Pair.B.Client.StartAsync(new StartRequest { Volume = Ref("no-peer", 1), Resync = ResyncMode.None });
        (await A.Client.StartAsync(start)).State.ShouldBe(ReplicaState.Running);
    }

    [Fact]
    public async Task Release_keeps_the_data_and_Prepare_takes_it_back()
    {
        Pair.CreateRecord("release");
        await A.Client.PrepareAsync(Request("release", 1, Role.Primary));
        await Guest.WriteAsync(A.GuestUri("release"), 0x5a, "0", "64k");
        await A.Client.ReleaseAsync(new ReleaseRequest { Volume = Ref("release", 1) });
        (await RefusedAsync(A.Client.StatusAsync(new StatusRequest { Uid = "release" }))).StatusCode.ShouldBe(StatusCode.NotFound);
        (await A.Client.PrepareAsync(Request("release", 1, Role.Primary))).Created.ShouldBeFalse();
        await Guest.ExpectAsync(A.GuestUri("release"), 0x5a, "0", "64k");
    }

    [Fact]
    public async Task What_must_exist_may_have_been_released_by_a_switchover_that_was_given_up()
    {
        Pair.CreateRecord("given-up");
        PrepareRequest existing = Request("given-up", 1, Role.Primary);
        existing.Create = CreatePolicy.MustExist;
        (await RefusedAsync(A.Client.PrepareAsync(existing))).StatusCode.ShouldBe(StatusCode.NotFound);
        await A.Client.PrepareAsync(Request("given-up", 1, Role.Primary));
        await Guest.WriteAsync(A.GuestUri("given-up"), 0x5b, "0", "64k");
        await A.Client.ReleaseAsync(new ReleaseRequest { Volume = Ref("given-up", 1) });
        (await A.Client.PrepareAsync(existing)).Created.ShouldBeFalse();
        await Guest.ExpectAsync(A.GuestUri("given-up"), 0x5b, "0", "64k");
    }

    [Fact]
    public async Task Delete_leaves_no_file()
    {
        string uid = await Pair.CreateAsync("delete");
        await A.Client.DeleteAsync(new DeleteRequest { Volume = Ref(uid, 1) });
        await Pair.B.Client.DeleteAsync(new DeleteRequest { Volume = Ref(uid, 1) });
        foreach (AgentUnderTest agent in new[] { A, Pair.B })
        {
            Directory.Exists(Path.Combine(agent.PoolDirectory, uid)).ShouldBeFalse();
            Directory.Exists(Path.Combine(agent.BufferDirectory, agent.Node, uid)).ShouldBeFalse();
            File.Exists(new Uri(agent.GuestUri(uid)).Query.Replace("?socket=", "", StringComparison.Ordinal)).ShouldBeFalse();
        }
    }

    [Fact]
    public async Task Checkpoint_without_a_secondary_fails_and_says_why()
    {
        Pair.CreateRecord("no-secondary");
        await A.Client.PrepareAsync(Request("no-secondary", 1, Role.Primary));
        Status refused = await RefusedAsync(A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref("no-secondary", 1) }));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        refused.Detail.ShouldContain("Start");
    }

    private static async Task<Status> RefusedAsync<T>(AsyncUnaryCall<T> call) =>
        (await Should.ThrowAsync<RpcException>(async () => await call)).Status;
}

/// <summary>One pair of agents for the tests of a class.</summary>
public sealed class PairFixture : IAsyncLifetime
{
    public AgentPair Pair { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Pair = await AgentPair.StartAsync();

    public async ValueTask DisposeAsync() => await Pair.DisposeAsync();
}
