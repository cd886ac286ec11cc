using Colo.AgentApi;
using Colo.Testing;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>A disk that failed a flush is well again: what a file answered before is not believed, and the replica serves again without a
/// restart of its agent.</summary>
public class FailedFlushTests
{
    [Fact]
    public async Task A_primary_whose_disk_failed_a_flush_says_that_it_cannot_serve_until_it_is_prepared_again()
    {
        await using AgentPair pair = await StartOnFaultyDisksAsync();
        string uid = await pair.CreateAsync("flush");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x11, "0", "1M");
        Func<Task> heal = await pair.DiskOfA!.FailFlushesAsync();
        ToolResult refused = await Guest.IoAsync(pair.A.GuestUri(uid), "write -P 34 0 64k", "flush");
        (refused.Output + refused.Error).ShouldContain("Input/output error");
        await heal();
        VolumeStatus lost = await pair.A.StatusAsync(uid);
        lost.State.ShouldBe(ReplicaState.Faulted);
        lost.Fault.ShouldContain("a flush failed");
        (await pair.B.StatusAsync(uid)).State.ShouldBe(ReplicaState.Running, "the other copy has everything");

        await pair.A.Client.PrepareAsync(Request(uid, 1, Role.Primary));
        await Eventually.TrueAsync(
            async () => await pair.A.StatusAsync(uid) is { State: ReplicaState.Running, Connected: true, Suspended: false }, "a has joined b again");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x33, "1M", "1M");
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    [Fact]
    public async Task A_copy_whose_disk_failed_a_flush_while_it_was_being_filled_begins_anew_by_itself()
    {
        await using AgentPair pair = await StartOnFaultyDisksAsync();
        string uid = await pair.CreateAsync("filled");
        await pair.B.KillAsync();
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x21, "0", "8M");
        await pair.B.StartAsync();
        await Eventually.TrueAsync(async () => (await pair.B.StatusAsync(uid)).State == ReplicaState.Prepared, "b has found that it misses writes");
        await pair.B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1) });
        Func<Task> heal = await pair.DiskOfB!.FailFlushesAsync();
        await Should.ThrowAsync<Grpc.Core.RpcException>(async () => await AttachAsync(pair, uid));
        await heal();
        await Eventually.TrueAsync(
            async () => (await pair.B.StatusAsync(uid)).State is ReplicaState.Prepared, "b has opened its files anew");
        await pair.B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1) });
        await AttachAsync(pair, uid);
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x23, "1M", "1M");
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    private static async Task AttachAsync(AgentPair pair, string uid) => await pair.A.Client.AttachSecondaryAsync(
        new AttachSecondaryRequest { Volume = Ref(uid, 1), Peer = pair.PeerB, Wait = true });
}
