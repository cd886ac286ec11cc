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
    public async Task A_copy_whose_disk_failed_a_flush_while_it_was_being_filled_lets_go_of_its_files_and_is_filled_once_the_disk_is_well()
    {
        await using AgentPair pair = await StartOnFaultyDisksAsync();
        const string uid = "filled";
        PrepareRequest slow = Request(uid, 1, Role.Primary);
        slow.Resync = new Resync { MaxBytesPerSecond = 1 << 20 };
        pair.CreateRecord(uid);
        await pair.B.Client.PrepareAsync(Request(uid, 1, Role.Secondary));
        await pair.A.Client.PrepareAsync(slow);
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x21, "0", "4M");
        await StartAndAttachAsync(pair, uid, wait: false);
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)).Resync is { DoneBytes: > 0 }, "b is being filled");
        Func<Task> heal = await pair.DiskOfB!.FailFlushesAsync();
        await Eventually.TrueAsync(
            async () => (await pair.B.StatusAsync(uid)).State == ReplicaState.Faulted, "b has let go of its files, and cannot note it yet");
        await heal();

        // As the control plane does for a faulted copy.
        await pair.B.Client.PrepareAsync(Request(uid, 1, Role.Secondary));
        await StartAndAttachAsync(pair, uid, wait: true);
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x23, "1M", "1M");
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    private static async Task StartAndAttachAsync(AgentPair pair, string uid, bool wait)
    {
        await pair.B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1) });
        await pair.A.Client.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(uid, 1), Peer = pair.PeerB, Wait = wait });
    }
}
