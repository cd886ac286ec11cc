using System.Threading.Tasks.Sources;
using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using Colo.Testing;
using CsCheck;
using Microsoft.Extensions.Time.Testing;
using static Colo.Replication.Tests.Kit.Pair;

namespace Colo.Replication.Tests;

public sealed class PrimaryTests
{
    [Fact]
    public async Task Overlapping_writes_in_flight_reach_both_replicas_in_one_order()
    {
        await Gen.Int[1, int.MaxValue].SampleAsync(
            async seed =>
            {
                await using Pair pair = await RunningAsync(64 << 10);
                Random random = new(seed);
                Func<string, long, Task> jitter = (op, _) => op == "write" ? YieldsAsync(Next(random, 4)) : Task.CompletedTask;
                pair.PrimaryDisk.Gate = jitter;
                pair.Link.Gate = jitter;
                List<Task<BlockStatus>> writes = [];
                for (int i = 0; i < 40; i++)
                {
                    int offset = Next(random, 12) * 4096;
                    int length = (1 + Next(random, 3)) * 4096;
                    writes.Add(pair.Primary.WriteAsync(offset, Enumerable.Repeat((byte)(i + 1), length).ToArray()).AsTask());
                }

                (await Task.WhenAll(writes)).ShouldAllBe(status => status == BlockStatus.Ok);
                pair.SecondaryDisk.Content.ShouldEqual(pair.PrimaryDisk.Content, $"seed {seed}");
            },
            iter: 30,
            threads: 1);
    }

    [Fact]
    public async Task No_schedule_gives_two_primaries_or_loses_an_acknowledged_write()
    {
        // The primary writes and loses its link at some point; the operator tries to promote at some point. Whoever wins at the arbiter:
        // every write that was acknowledged is on the one that may serve, and the other one acknowledges nothing afterwards.
        await Gen.Select(Gen.Int[0, 20], Gen.Int[0, 20], Gen.Int[0, 6], Gen.Bool, Gen.Bool).SampleAsync(
            async (failAt, promoteAt, arbiterDelay, isLostOnTheWayBack, isSilentFirst) =>
            {
                await using Pair pair = await RunningAsync(128 << 10);
                pair.Arbiter.Gate = () => YieldsAsync(arbiterDelay);
                pair.Arbiter.IsSilent = isSilentFirst && failAt < promoteAt;
                int forwards = 0;
                if (isLostOnTheWayBack)
                {
                    pair.Link.ReturnGate = (op, _) =>
                        op == "write" && Interlocked.Increment(ref forwards) > failAt ? new TaskCompletionSource().Task : Task.CompletedTask;
                }
                else
                {
                    pair.Link.Fault = (op, _) =>
                        op == "write" && Interlocked.Increment(ref forwards) > failAt ? BlockStatus.IoError : BlockStatus.Ok;
                }

                List<Task<BlockStatus>> writes = [];
                bool promoted = false;
                for (int i = 0; i < 20; i++)
                {
                    writes.Add(pair.Primary.WriteAsync(i * 4096, Enumerable.Repeat((byte)(i + 1), 4096).ToArray()).AsTask());
                    if (i == promoteAt)
                    {
                        promoted = pair.Arbiter.TryPromoteSecondary();
                        if (promoted)
                        {
                            await pair.Secondary.StopAsync(One.Next(), failover: true, RecoveryPoint.LatestWrite);
                        }
                    }

                    await YieldsAsync(1);
                }

                pair.Arbiter.IsSilent = false;
                await pair.PassTimeUntil(() => writes.TrueForAll(write => write.IsCompleted), "every write is answered");
                IBlockDevice truth = promoted ? pair.Secondary.ServingDevice : pair.Primary;
                for (int i = 0; i < 20; i++)
                {
                    if (await writes[i] == BlockStatus.Ok)
                    {
                        await truth.ShouldHoldAsync(i * 4096, 4096, (byte)(i + 1));
                    }
                    else
                    {
                        promoted.ShouldBeTrue("only a superseded primary refuses");
                    }
                }

                if (promoted)
                {
                    Task<BlockStatus> late = pair.Primary.WriteAsync(0, new byte[4096]).AsTask();
                    await pair.PassTimeUntil(() => late.IsCompleted, "a late write is answered");
                    (await late).ShouldBe(BlockStatus.Shutdown);
                    (await truth.ReadAsync(0, new byte[4096].AsMemory())).ShouldBe(BlockStatus.Ok);
                }
            },
            iter: 150,
            threads: 1);
    }

    [Fact]
    public async Task A_resync_under_guest_writes_ends_equal_and_in_sync()
    {
        await Gen.Int[1, int.MaxValue].SampleAsync(
            async seed =>
            {
                await using Pair pair = await OpenAsync(1 << 20);
                Random random = new(seed);
                random.NextBytes(pair.PrimaryDisk.Content[..(512 << 10)]);
                random.NextBytes(pair.SecondaryDisk.Content);
                await pair.Secondary.StartAsync(One, filling: true);
                LoopLink link = pair.NewLink();
                link.Gate = (_, _) => YieldsAsync(Next(random, 3));
                await pair.Primary.StartAsync(One, link, ResyncMode.Full);
                pair.Arbiter.Record.SecondaryState.ShouldNotBe(SecondaryState.Stale);
                for (int i = 0; i < 60; i++)
                {
                    // Never into the last 128 KiB: they stay zero, and must be sent as such.
                    await pair.Primary.WriteAsync(Next(random, 220) * 4096, 4096 * (1 + Next(random, 3)), (byte)(i + 1));
                }

                (await pair.Primary.ResyncCompletion).ShouldBeTrue();
                pair.SecondaryDisk.Content.ShouldEqual(pair.PrimaryDisk.Content, $"seed {seed}");
                pair.Arbiter.History.ShouldBe([SecondaryState.Syncing, SecondaryState.InSync]);
                pair.Primary.ResyncProgress!.DoneBytes.ShouldBe(1 << 20);
                pair.Primary.ResyncProgress!.ZeroBytes.ShouldBeGreaterThan(0);
                pair.SecondaryDisk.Flushes.ShouldBeGreaterThan(0);
            },
            iter: 15,
            threads: 1);
    }

    [Fact]
    public async Task An_interrupted_resync_leaves_Syncing_and_can_start_over()
    {
        await using Pair pair = await OpenAsync();
        pair.PrimaryDisk.Content.Fill(0x11);
        await pair.Secondary.StartAsync(One, filling: true);
        LoopLink link = pair.NewLink();
        link.Fault = (op, offset) => op == "write" && offset >= 512 << 10 ? BlockStatus.IoError : BlockStatus.Ok;
        await pair.Primary.StartAsync(One, link, ResyncMode.Full);
        (await pair.Primary.ResyncCompletion).ShouldBeFalse();
        await Eventually.TrueAsync(() => pair.Primary.ServeState == ServeState.Alone, "alone");
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.Syncing);
        pair.Primary.ResyncProgress!.State.ShouldBe(ResyncState.Interrupted);
        (await Should.ThrowAsync<ReplicationException>(async () => await pair.Primary.CheckpointAsync(One)))
            .Fault.ShouldBe(ReplicationFault.CheckpointFailed);
        await pair.Primary.WriteAsync(0, 4096, 0x22);

        await pair.Secondary.StartAsync(One, filling: true);
        await pair.Primary.AttachSecondaryAsync(One, pair.NewLink(), ResyncMode.Full);
        (await pair.Primary.ResyncCompletion).ShouldBeTrue();
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.InSync);
        pair.SecondaryDisk.Content.ShouldEqual(pair.PrimaryDisk.Content, "after the second try");
        await pair.Primary.CheckpointAsync(One);
    }

    [Fact]
    public async Task After_a_crash_the_replicas_become_equal_and_what_the_guest_has_read_does_not_change()
    {
        await using Pair pair = await RunningAsync(fill: 0x01);
        await pair.Primary.DisposeAsync();
        pair.SecondaryDisk.Content.Slice(0, 4096).Fill(0x77);
        pair.SecondaryDisk.Content.Slice(512 << 10, 4096).Fill(0x77);
        await using PrimaryReplica again = await pair.OpenPrimaryAsync();
        LoopLink link = pair.NewLink();
        TaskCompletionSource copier = new();
        link.Gate = (op, offset) => op == "write" && offset != 512 << 10 ? copier.Task : Task.CompletedTask;
        await again.AttachSecondaryAsync(One, link, ResyncMode.Recopy);
        again.Record!.SecondaryState.ShouldBe(SecondaryState.InSync);

        // Read before the copier has come there: it is on both before the guest sees it.
        await again.ShouldHoldAsync(512 << 10, 4096, 0x01);
        pair.SecondaryDisk.Content.ShouldHold(512 << 10, 4096, 0x01);
        copier.SetResult();
        (await again.ResyncCompletion).ShouldBeTrue();
        pair.SecondaryDisk.Content.ShouldEqual(pair.PrimaryDisk.Content, "after the re-copy");
        pair.Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.InSync);
    }

    [Fact]
    public async Task Zeroes_and_discards_leave_both_replicas_equal_also_where_the_peer_cannot_zero()
    {
        await using Pair pair = await RunningAsync(
            fill: 0x11, link: target => new LoopLink(target, SecondaryNode) { CanZero = false });
        (await pair.Primary.WriteZeroesAsync(new(1000, 600_000))).ShouldBe(BlockStatus.Ok);
        pair.PrimaryDisk.Content.ShouldHold(1000, 600_000, 0);
        pair.SecondaryDisk.Content.ShouldEqual(pair.PrimaryDisk.Content, "after zeroes");
        (await pair.Primary.WriteZeroesAsync(new(0, 4096), RequestFlags.FastOnly)).ShouldBe(BlockStatus.NotSupported);
        (await pair.Primary.DiscardAsync(new(0, 1 << 20))).ShouldBe(BlockStatus.Ok);
        pair.SecondaryDisk.Content.ShouldEqual(pair.PrimaryDisk.Content, "after a discard");
        pair.Primary.ServeState.ShouldBe(ServeState.Replicating);
    }

    [Fact]
    public async Task A_checkpoint_by_call_drains_the_writes_in_flight_and_holds_new_ones()
    {
        await using Pair pair = await RunningAsync(
            fill: 0x01, link: target => new LoopLink(target, SecondaryNode) { CarriesCheckpoints = false });
        TaskCompletionSource slow = new();
        pair.Link.Gate = (op, offset) => op == "write" && offset == 0 ? slow.Task : Task.CompletedTask;
        Task<BlockStatus> inFlight = pair.Primary.WriteAsync(0, new byte[4096]).AsTask();
        Task<CheckpointReport> checkpoint = pair.Primary.CheckpointAsync(One).AsTask();
        await Eventually.TrueAsync(() => !pair.Primary.WriteAsync(8192, new byte[4096]).IsCompleted, "new writes are held");
        pair.Link.Log.ShouldNotContain("checkpoint");
        slow.SetResult();
        (await inFlight).ShouldBe(BlockStatus.Ok);
        await checkpoint;
        await pair.Secondary.VmView.ShouldHoldAsync(0, 4096, 0);
        await pair.Secondary.VmView.ShouldHoldAsync(8192, 4096, 0x01);
    }

    [Fact]
    public async Task A_checkpoint_that_drains_fails_when_a_forward_in_flight_fails()
    {
        await using Pair pair = await RunningAsync(
            link: target => new LoopLink(target, SecondaryNode) { CarriesCheckpoints = false });
        pair.Link.Gate = (op, _) => op == "write" ? new TaskCompletionSource().Task : Task.CompletedTask;
        Task<BlockStatus> hung = pair.Primary.WriteAsync(0, new byte[4096]).AsTask();
        Task<CheckpointReport> checkpoint = pair.Primary.CheckpointAsync(One).AsTask();
        await pair.PassTimeUntil(() => checkpoint.IsCompleted, "the checkpoint ends");
        (await Should.ThrowAsync<ReplicationException>(checkpoint)).Error!.Number.ShouldBe(ReplicationError.Forward);
        (await hung).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task A_replicated_write_allocates_nothing()
    {
        InstantDisk local = new(1 << 20);
        InstantDisk remote = new(1 << 20);
        await MeasureAsync(local, remote);
    }

    [Fact]
    public async Task A_replicated_write_into_a_hot_extent_allocates_nothing_and_neither_does_one_alone_into_a_marked_grain()
    {
        MemoryLineageStore store = new();
        ReplicaLineage lineage = await ReplicaLineage.OpenAsync(store, 1 << 20, "life");
        await MeasureAsync(new InstantDisk(1 << 20), new InstantDisk(1 << 20), lineage);
        store.ActivityWrites.ShouldBe(2, "emptied at the start, and made hot once");
        store.MapSyncs.ShouldBeLessThan(10);
    }

    [Fact]
    public async Task A_replicated_write_whose_forward_is_answered_later_allocates_nothing()
    {
        InstantDisk local = new(1 << 20);
        InstantDisk remote = new(1 << 20) { AnswersLater = true };
        await MeasureAsync(local, remote);
    }

    [Fact]
    public async Task A_forward_into_a_grain_that_was_copied_allocates_nothing()
    {
        InstantDisk disk = new(1 << 20);
        await using SecondaryReplica secondary = await SecondaryReplica.OpenAsync(
            new SecondaryReplicaOptions { Uid = Uid, Buffer = new(1 << 30, BufferFullPolicy.Detach) },
            disk, new MemoryEpochStore(1 << 20), new MemoryTermStore(), One, TimeProvider.System);
        await secondary.StartAsync(One, filling: false);
        ReplicationTarget target = secondary.OpenTarget(One);
        byte[] data = new byte[4096];
        Measure(() => target.WriteAsync(8192, data).Result.ShouldBeOk());
    }

    private static async Task MeasureAsync(InstantDisk local, InstantDisk remote, ReplicaLineage? lineage = null)
    {
        MemoryArbiter arbiter = new(new VolumeRecord(Uid, One, PrimaryNode, string.Empty, SecondaryState.None, 1));
        await using PrimaryReplica primary = await PrimaryReplica.OpenAsync(
            new PrimaryReplicaOptions { Uid = Uid, Node = PrimaryNode, Term = One }, local, arbiter, new MemoryTermStore(), new FakeTimeProvider(),
            lineage: lineage);
        await primary.StartAsync(One, new InstantLink(remote), ResyncMode.None);
        byte[] data = new byte[4096];
        Measure(() =>
        {
            ValueTask<BlockStatus> write = primary.WriteAsync(8192, data);
            remote.Answer();
            write.IsCompleted.ShouldBeOk();
            write.GetAwaiter().GetResult().ShouldBeOk();
        });
        primary.ServeState.ShouldBe(ServeState.Replicating);
        if (lineage is not null)
        {
            await primary.DetachSecondaryAsync(One);
            Measure(() => primary.WriteAsync(8192, data).Result.ShouldBeOk());
            lineage.DirtyBytes.ShouldBe(4096);
        }
    }

    private static void Measure(Action write)
    {
        for (int i = 0; i < 2000; i++)
        {
            write();
        }

        // The best of several passes: what a request allocates it allocates in each; the runtime's own (tiering up) comes in some.
        long least = long.MaxValue;
        for (int pass = 0; pass < 10; pass++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 1000; i++)
            {
                write();
            }

            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        least.ShouldBeLessThan(1000, "bytes for a thousand writes");
    }

    private static int Next(Random random, int end)
    {
        lock (random)
        {
            return random.Next(end);
        }
    }

    private static async Task YieldsAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            await Task.Yield();
        }
    }

    /// <summary>Answers at once, or when told; without allocation either way.</summary>
    private class InstantDisk(long lengthBytes) : IBlockDevice, IValueTaskSource<BlockStatus>
    {
        private ManualResetValueTaskSourceCore<BlockStatus> later;
        private bool isPending;

        public bool AnswersLater { get; set; }

        public long LengthBytes => lengthBytes;

        public DeviceCapabilities Capabilities { get; } = new();

        public void Answer()
        {
            if (isPending)
            {
                isPending = false;
                later.SetResult(BlockStatus.Ok);
            }
        }

        public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => new(BlockStatus.Ok);

        public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
        {
            if (!AnswersLater)
            {
                return new(BlockStatus.Ok);
            }

            later.Reset();
            isPending = true;
            return new(this, later.Version);
        }

        public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => new(BlockStatus.Ok);

        public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => new(BlockStatus.Ok);

        public ValueTask<BlockStatus> FlushAsync() => new(BlockStatus.Ok);

        public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
            new(BlockStatus.NotSupported);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        BlockStatus IValueTaskSource<BlockStatus>.GetResult(short token) => later.GetResult(token);

        ValueTaskSourceStatus IValueTaskSource<BlockStatus>.GetStatus(short token) => later.GetStatus(token);

        void IValueTaskSource<BlockStatus>.OnCompleted(
            Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            later.OnCompleted(continuation, state, token, flags);
    }

    private sealed class InstantLink(InstantDisk disk) : IReplicationLink
    {
        public string PeerNode => SecondaryNode;

        public bool CarriesCheckpoints => true;

        public long LengthBytes => disk.LengthBytes;

        public DeviceCapabilities Capabilities => disk.Capabilities;

        public ValueTask<BlockStatus> CheckpointAsync(long epoch) => new(BlockStatus.Ok);

        public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => disk.ReadAsync(offsetBytes, destination);

        public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
            disk.WriteAsync(offsetBytes, source, flags);

        public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => disk.WriteZeroesAsync(range);

        public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => disk.DiscardAsync(range);

        public ValueTask<BlockStatus> FlushAsync() => disk.FlushAsync();

        public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
            disk.GetExtentsAsync(range, extents, maxExtents);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}

/// <summary>Assertions that allocate nothing while they hold.</summary>
internal static class Allocationless
{
    public static void ShouldBeOk(this BlockStatus status)
    {
        if (status != BlockStatus.Ok)
        {
            throw new InvalidOperationException($"{status}");
        }
    }

    public static void ShouldBeOk(this bool condition)
    {
        if (!condition)
        {
            throw new InvalidOperationException("not completed");
        }
    }
}
