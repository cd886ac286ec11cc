using System.Collections.Concurrent;
using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using Colo.Testing;
using Microsoft.Extensions.Time.Testing;
using static Colo.Replication.Tests.Kit.Pair;

namespace Colo.Replication.Tests;

/// <summary>The log on a disk of more extents than it holds: what it lets go of is durable on both sides, or in the map.</summary>
public sealed class ActivityLogTests
{
    private const long LengthBytes = 2L * ActivityLog.Capacity * ActivityLog.ExtentBytes;

    [Fact]
    public async Task An_extent_leaves_the_log_only_after_both_disks_were_flushed_behind_its_last_write()
    {
        await using Bench bench = await Bench.StartAsync();
        List<int> seen = [];
        for (int extent = 0; extent < 2 * ActivityLog.Capacity; extent++)
        {
            (await bench.Primary.WriteAsync((long)extent * ActivityLog.ExtentBytes, new byte[4096])).ShouldBe(BlockStatus.Ok);
            HashSet<int> durable = [.. bench.Store.Activity];
            durable.ShouldContain(extent, "in the log before its write was answered");
            seen.Add(extent);
            foreach (int gone in seen.Where(former => !durable.Contains(former)))
            {
                bench.Local.Unflushed.ShouldNotContain(gone);
                bench.Remote.Unflushed.ShouldNotContain(gone);
            }

            seen.RemoveAll(former => !durable.Contains(former));
        }

        seen.Count.ShouldBeInRange(ActivityLog.Capacity / 2, ActivityLog.Capacity);
    }

    [Fact]
    public async Task An_extent_with_a_write_in_flight_does_not_leave_the_log()
    {
        await using Bench bench = await Bench.StartAsync();
        TaskCompletionSource<BlockStatus> slow = new();
        bench.Remote.Answer = slow.Task;
        Task<BlockStatus> inFlight = bench.Primary.WriteAsync(0, new byte[4096]).AsTask();
        await Eventually.TrueAsync(() => bench.Remote.Unflushed.Contains(0), "the write is on its way");
        bench.Remote.Answer = null;
        for (int extent = 1; extent < 2 * ActivityLog.Capacity; extent++)
        {
            (await bench.Primary.WriteAsync((long)extent * ActivityLog.ExtentBytes, new byte[4096])).ShouldBe(BlockStatus.Ok);
            bench.Store.Activity.ShouldContain(0);
        }

        inFlight.IsCompleted.ShouldBeFalse();
        slow.SetResult(BlockStatus.Ok);
        (await inFlight).ShouldBe(BlockStatus.Ok);
    }

    [Fact]
    public async Task Alone_an_extent_leaves_the_log_only_after_its_marks_are_durable()
    {
        await using Bench bench = await Bench.StartAsync();
        await bench.Primary.DetachSecondaryAsync(One);
        for (int extent = 0; extent < 2 * ActivityLog.Capacity; extent++)
        {
            (await bench.Primary.WriteAsync((long)extent * ActivityLog.ExtentBytes, new byte[4096])).ShouldBe(BlockStatus.Ok);
        }

        // The machine goes down: what the log no longer has, the map that was synced has.
        ReplicaLineage after = await ReplicaLineage.OpenAsync(bench.Store.AfterPowerLoss(), LengthBytes, "another life");
        DirtyBitmap dirty = after.Report().Dirty.ShouldNotBeNull();
        for (int extent = 0; extent < 2 * ActivityLog.Capacity; extent++)
        {
            dirty.IsSet((long)extent * ActivityLog.ExtentBytes).ShouldBeTrue($"extent {extent}");
        }
    }

    [Fact]
    public async Task An_idle_volume_ends_with_an_empty_log()
    {
        await using Bench bench = await Bench.StartAsync();
        await bench.Primary.WriteAsync(0, new byte[4096]);
        await bench.Primary.WriteAsync(40L * ActivityLog.ExtentBytes, new byte[4096]);
        bench.Store.Activity.ShouldBe([0, 40]);
        await Eventually.TrueAsync(
            () =>
            {
                bench.Time.Advance(TimeSpan.FromSeconds(5));
                return bench.Store.Activity.Count == 0;
            },
            "the log is empty");
        bench.Local.Unflushed.ShouldBeEmpty();
        bench.Remote.Unflushed.ShouldBeEmpty();
    }

    [Fact]
    public async Task Zeroes_over_more_extents_than_the_log_holds_go_in_pieces()
    {
        await using Bench bench = await Bench.StartAsync();
        (await bench.Primary.WriteZeroesAsync(new(0, LengthBytes))).ShouldBe(BlockStatus.Ok);
        bench.Store.Activity.Count.ShouldBeInRange(1, ActivityLog.Capacity);
        bench.Local.Zeroed.ShouldBe(LengthBytes);
        bench.Remote.Zeroed.ShouldBe(LengthBytes);
    }

    private sealed class Bench : IAsyncDisposable
    {
        public FakeTimeProvider Time { get; } = new();

        public MemoryLineageStore Store { get; } = new();

        public VastDisk Local { get; } = new();

        public VastDisk Remote { get; } = new();

        public PrimaryReplica Primary { get; private set; } = null!;

        public static async Task<Bench> StartAsync()
        {
            Bench bench = new();
            bench.Primary = await PrimaryReplica.OpenAsync(
                new PrimaryReplicaOptions { Uid = Uid, Node = PrimaryNode, Term = One, ForwardTimeout = TimeSpan.FromHours(1) },
                bench.Local,
                new MemoryArbiter(new VolumeRecord(Uid, One, PrimaryNode, string.Empty, SecondaryState.None, 1)),
                new MemoryTermStore(),
                bench.Time,
                lineage: await ReplicaLineage.OpenAsync(bench.Store, LengthBytes, "life"));
            await bench.Primary.StartAsync(One, new LoopLink(bench.Remote, SecondaryNode), ResyncMode.None);
            return bench;
        }

        public ValueTask DisposeAsync() => Primary.DisposeAsync();
    }

    /// <summary>Holds nothing but which extents were written to since the last flush.</summary>
    private sealed class VastDisk : IBlockDevice
    {
        private readonly ConcurrentDictionary<int, bool> unflushed = [];

        public ICollection<int> Unflushed => unflushed.Keys;

        public long Zeroed { get; private set; }

        public Task<BlockStatus>? Answer { get; set; }

        public long LengthBytes => ActivityLogTests.LengthBytes;

        public DeviceCapabilities Capabilities { get; } = new(CanZeroFast: true);

        public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => new(BlockStatus.Ok);

        public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
        {
            unflushed[(int)(offsetBytes / ActivityLog.ExtentBytes)] = true;
            return Answer is { } answer ? new(answer) : new(BlockStatus.Ok);
        }

        public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
        {
            Zeroed += range.Length;
            return new(BlockStatus.Ok);
        }

        public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => new(BlockStatus.Ok);

        public ValueTask<BlockStatus> FlushAsync()
        {
            unflushed.Clear();
            return new(BlockStatus.Ok);
        }

        public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
            new(BlockStatus.NotSupported);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
