using System.Globalization;
using Colo.AgentApi;
using Colo.Testing;
using Grpc.Core;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>Outages, SIGKILLs and failovers of real agents: equal disks afterwards, and no more copied than has to be. What travelled is
/// what the primary's progress says it copied.</summary>
public class ResyncTests
{
    private const long VolumeBytes = 256 << 20;

    [Fact]
    public async Task After_an_outage_of_the_secondary_only_the_grains_written_meanwhile_travel()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await CreateAsync(pair, "outage");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x11, "0", "200M");
        await pair.B.KillAsync();
        await WriteGrainsAsync(pair.A.GuestUri(uid), 0x22, count: 1000);
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale);
        (await pair.A.StatusAsync(uid)).BytesOutOfSync.ShouldBe(1000 * 4096);
        await pair.B.StartAsync();
        ResyncOutcome resync = await RejoinAsync(pair, pair.A, pair.B, uid, 1, pair.PeerB);
        resync.Mode.ShouldBe("Bitmap");
        resync.CopiedBytes.ShouldBeInRange(1000 * 4096, (long)(1000 * 4096 * 1.1), "at most 1.1 times what was dirtied");
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    [Fact]
    public async Task A_primary_killed_while_alone_and_again_while_resyncing_still_copies_only_what_differs()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await CreateAsync(pair, "killed", bytesPerSecond: 4 << 20);
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x31, "0", "128M");
        await pair.B.KillAsync();
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x32, "16M", "24M");
        await pair.A.KillAsync();
        await pair.A.StartAsync();
        await Guest.ExpectAsync(pair.A.GuestUri(uid), 0x32, "16M", "24M");
        (await pair.A.StatusAsync(uid)).BytesOutOfSync.ShouldBe(24 << 20);
        await pair.B.StartAsync();
        await StartAndAttachAsync(pair.A, pair.B, uid, 1, pair.PeerB, wait: false);
        await Eventually.TrueAsync(
            async () => (await pair.A.StatusAsync(uid)).Resync is { DoneBytes: > 1 << 20 } progress && progress.TotalBytes == 24 << 20,
            "the resync is under way");
        await pair.A.KillAsync();
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.Syncing);
        await pair.A.StartAsync();
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)).BytesOutOfSync is > 0 and < 40 << 20, "the map is still there");
        ResyncOutcome resync = await RejoinAsync(pair, pair.A, pair.B, uid, 1, pair.PeerB);
        resync.Mode.ShouldBe("Bitmap");
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    [Fact]
    public async Task After_a_failover_the_killed_primary_rejoins_without_a_full_copy_and_is_equal()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await CreateAsync(pair, "rejoin");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x41, "0", "200M");
        await pair.A.TerminateAsync();
        await pair.A.StartAsync();
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)) is { Connected: true, Suspended: false }, "a is back");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x42, "8M", "1M");
        await pair.A.KillAsync();

        // What it had written and not yet sent, or sent in vain: never acknowledged, and in an extent that it had noted before.
        await WriteBehindAsync(pair.A.DiskPath(uid), (8 << 20) + 65536, 0x99);
        long term = pair.RecordTakeover(uid);
        await pair.B.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true });
        await Guest.WriteAsync(pair.B.GuestUri(uid), 0x43, "100M", "64k");
        await pair.A.StartAsync();
        await pair.A.Client.PrepareAsync(Prepare(uid, term, Role.Secondary));
        ResyncOutcome resync = await RejoinAsync(pair, pair.B, pair.A, uid, term, pair.PeerA);
        resync.Mode.ShouldBe("Bitmap");
        resync.CopiedBytes.ShouldBeLessThanOrEqualTo((4 << 20) + 65536, "the extent that the dead primary was writing to, and what the new one wrote");
        await Guest.ExpectDiskAsync(pair.A.DiskPath(uid), 0x42, "8M", "1M");
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    [Fact]
    public async Task A_copy_of_unknown_lineage_is_refused_by_name_until_somebody_asks_for_a_full_copy()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await CreateAsync(pair, "unknown");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x51, "0", "1M");
        await pair.B.KillAsync();
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x52, "0", "1M");

        // The same name, the same size, another life: as if another cluster's copy had been put there.
        await using AgentPair other = await AgentPair.StartAsync();
        await CreateAsync(other, "unknown");
        await other.B.KillAsync();
        string here = Path.GetDirectoryName(pair.B.DiskPath(uid))!;
        string there = Path.GetDirectoryName(other.B.DiskPath(uid))!;
        foreach (string file in new[] { "lineage.state", "lineage.map", "lineage.seen" })
        {
            File.Copy(Path.Combine(there, file), Path.Combine(here, file), overwrite: true);
        }

        await pair.B.StartAsync();
        await Eventually.TrueAsync(
            async () => (await pair.B.StatusAsync(uid)).State == ReplicaState.Prepared, "b has found that it misses writes");
        await pair.B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1) });
        RpcException refused = await Should.ThrowAsync<RpcException>(async () => await pair.A.Client.AttachSecondaryAsync(
            new AttachSecondaryRequest { Volume = Ref(uid, 1), Peer = pair.PeerB }));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        refused.Status.Detail.ShouldContain("b is refused");
        refused.Status.Detail.ShouldContain("nothing in common");
        (await pair.A.StatusAsync(uid)).AttachFailure.ShouldContain("nothing in common");
        await pair.A.Client.AttachSecondaryAsync(
            new AttachSecondaryRequest { Volume = Ref(uid, 1), Peer = pair.PeerB, Resync = ResyncMode.Full, Wait = true });
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    [Fact]
    public async Task A_map_that_was_copied_while_its_primary_was_alone_and_put_back_into_its_file_is_refused_until_somebody_vouches()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await CreateAsync(pair, "back");
        await pair.B.KillAsync();
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x61, "0", "64k");
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.Stale);
        string directory = Path.GetDirectoryName(pair.A.DiskPath(uid))!;
        byte[] old = await File.ReadAllBytesAsync(Path.Combine(directory, "lineage.map"));
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x62, "100M", "64k");
        await pair.A.KillAsync();
        await using (FileStream map = File.OpenWrite(Path.Combine(directory, "lineage.map")))
        {
            await map.WriteAsync(old);
        }

        await pair.A.StartAsync();
        VolumeStatus status = await pair.A.StatusAsync(uid);
        status.State.ShouldBe(ReplicaState.Faulted, "it says that nothing but the first write differs");
        status.Fault.ShouldContain("lineage.map");
        status.Fault.ShouldContain("an old copy was put back");
        await pair.A.KillAsync();
        await File.WriteAllTextAsync(Path.Combine(directory, "accept-disk"), uid);
        await pair.A.StartAsync();
        await pair.B.StartAsync();
        await Guest.ExpectAsync(pair.A.GuestUri(uid), 0x62, "100M", "64k");
        await pair.A.KillAsync();
        await pair.A.StartAsync();
        (await RejoinAsync(pair, pair.A, pair.B, uid, 1, pair.PeerB)).Mode.ShouldBe("Full", "nobody believes its map any more");
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    [Fact]
    public async Task A_copy_that_is_being_filled_gives_back_what_it_held_where_a_person_forces_it()
    {
        await using AgentPair pair = await AgentPair.StartAsync();
        string uid = await CreateAsync(pair, "older", bytesPerSecond: 1 << 20);
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x61, "0", "32M");
        await pair.B.KillAsync();
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x62, "0", "32M");
        await pair.B.StartAsync();
        await StartAndAttachAsync(pair.A, pair.B, uid, 1, pair.PeerB, wait: false);
        await Eventually.TrueAsync(async () => (await pair.A.StatusAsync(uid)).Resync is { DoneBytes: > 2 << 20 }, "a part of it is filled");
        (await pair.B.StatusAsync(uid)).State.ShouldBe(ReplicaState.Syncing);
        (await pair.B.StatusAsync(uid)).HoldsOlder.ShouldBeTrue();
        await pair.A.KillAsync();
        long term = pair.RecordTakeover(uid);
        await pair.B.Client.StopAsync(new StopRequest { Volume = Ref(uid, term), Failover = true, RecoveryPoint = RecoveryPoint.LastCheckpoint });
        await Guest.ExpectAsync(pair.B.GuestUri(uid), 0x61, "0", "32M");
        await Eventually.TrueAsync(
            async () => (await pair.B.StatusAsync(uid)).State == ReplicaState.Prepared, "the older content is committed");
        await pair.A.StartAsync();
        await pair.A.Client.PrepareAsync(Prepare(uid, term, Role.Secondary));
        await RejoinAsync(pair, pair.B, pair.A, uid, term, pair.PeerA);
        await Guest.ExpectEqualAsync(pair.A.DiskPath(uid), pair.B.DiskPath(uid));
    }

    private sealed record ResyncOutcome(string Mode, long CopiedBytes);

    private static async Task<string> CreateAsync(AgentPair pair, string uid, long bytesPerSecond = 0)
    {
        pair.CreateRecord(uid);
        await pair.B.Client.PrepareAsync(Prepare(uid, 1, Role.Secondary));
        await pair.A.Client.PrepareAsync(Prepare(uid, 1, Role.Primary, bytesPerSecond));
        await pair.B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1), Resync = ResyncMode.None });
        await pair.A.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1), Resync = ResyncMode.None, Peer = pair.PeerB });
        return uid;
    }

    private static PrepareRequest Prepare(string uid, long term, Role role, long bytesPerSecond = 0)
    {
        PrepareRequest request = Request(uid, term, role);
        request.SizeBytes = VolumeBytes;
        request.Resync = new Resync { MaxBytesPerSecond = bytesPerSecond };
        return request;
    }

    /// <summary>Starts the secondary where it is not, attaches it, and waits until it is in sync.</summary>
    private static async Task<ResyncOutcome> RejoinAsync(
        AgentPair pair, AgentUnderTest primary, AgentUnderTest secondary, string uid, long term, Peer peer)
    {
        int before = primary.Log.Length;
        await StartAndAttachAsync(primary, secondary, uid, term, peer, wait: true);
        pair.Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
        System.Text.RegularExpressions.Match told = default!;
        await Eventually.TrueAsync(
            () => (told = System.Text.RegularExpressions.Regex.Match(
                primary.Log[before..], "resync (\\w+) of (\\d+) bytes ended")).Success, "the log tells of the resync");
        return new(told.Groups[1].Value, long.Parse(told.Groups[2].Value, CultureInfo.InvariantCulture));
    }

    private static async Task StartAndAttachAsync(
        AgentUnderTest primary, AgentUnderTest secondary, string uid, long term, Peer peer, bool wait)
    {
        await Eventually.TrueAsync(
            async () => (await secondary.StatusAsync(uid)).State is ReplicaState.Prepared or ReplicaState.Syncing, "the secondary can be started");
        await secondary.Client.StartAsync(new StartRequest { Volume = Ref(uid, term) });
        await Eventually.TrueAsync(async () => !(await primary.StatusAsync(uid)).Suspended, "the primary serves");
        await primary.Client.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(uid, term), Peer = peer, Wait = wait });
    }

    private static async Task WriteGrainsAsync(string uri, byte pattern, int count) => (await Tool.RunAsync("/usr/bin/python3", "-c", $"""
        import nbd
        h = nbd.NBD()
        h.connect_uri('{uri}')
        for n in range({count}):
            h.pwrite(bytes([{pattern}]) * 4096, n * 7919 % 65536 * 4096)
        h.flush()
        """)).EnsureSuccess();

    private static async Task WriteBehindAsync(string path, long offset, byte pattern)
    {
        await using FileStream disk = File.OpenWrite(path);
        disk.Position = offset;
        await disk.WriteAsync(Enumerable.Repeat(pattern, 4096).ToArray());
    }
}
