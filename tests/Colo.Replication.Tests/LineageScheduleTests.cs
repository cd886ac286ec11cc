using Colo.Blocks;
using Colo.Replication.Tests.Kit;
using CsCheck;

namespace Colo.Replication.Tests;

/// <summary>Random outages, deaths of processes and machines, interrupted resyncs and failovers, one after another, with writes in flight
/// at each. A failing seed is printed.</summary>
public sealed class LineageScheduleTests
{
    private const int Slots = 256;
    private const long SlotStride = LineagePair.LengthBytes / Slots;

    [Fact]
    public async Task Whatever_happens_no_acknowledged_write_is_lost_and_a_resync_ends_equal() =>
        await Gen.Int[1, int.MaxValue].SampleAsync(async seed => await RunAsync(new Random(seed), steps: 6), iter: 15, threads: 1);

    private static async Task RunAsync(Random random, int steps)
    {
        await using LineagePair pair = await LineagePair.RunningAsync();
        History history = new();
        (LineagePair.Node primary, LineagePair.Node secondary) = (pair.A, pair.B);
        for (int step = 0; step < steps; step++)
        {
            await history.WriteAsync(primary.Primary, random, random.Next(1, 30));
            if (random.Next(3) == 0)
            {
                (await primary.Primary.FlushAsync()).ShouldBe(BlockStatus.Ok);
                history.Flushed();
            }

            List<Task<BlockStatus>> inFlight = history.Begin(primary.Primary, pair.Link, random, random.Next(0, 4));
            switch (random.Next(5))
            {
                case 0:
                    await OutageAsync(pair, primary, secondary, random, history, inFlight);
                    break;
                case 1:
                    await OutageAsync(pair, primary, secondary, random, history, inFlight, interrupted: true);
                    break;
                case 2:
                    await PrimaryDiesAsync(pair, primary, random, history);
                    break;
                case 3:
                    await PrimaryDiesWhileAloneAsync(pair, primary, secondary, random, history, inFlight);
                    break;
                default:
                    await FailOverAsync(pair, primary, secondary, random, history);
                    (primary, secondary) = (secondary, primary);
                    break;
            }

            if (primary.Primary.ServeState != ServeState.Replicating)
            {
                await pair.SyncAsync(primary, secondary, primary.Primary.ServeState == ServeState.Waiting ? ResyncMode.Rejoin : ResyncMode.Auto);
            }

            primary.Primary.AttachedMode.ShouldNotBe(ResyncMode.Full, "a map or a log says what differs, always");
            await history.CheckAsync(primary.Primary);
            pair.ShouldBeEqual();
        }
    }

    private static async Task OutageAsync(
        LineagePair pair, LineagePair.Node primary, LineagePair.Node secondary, Random random, History history, List<Task<BlockStatus>> inFlight,
        bool interrupted = false)
    {
        bool dies = random.Next(2) == 0;
        if (dies)
        {
            await KillAsync(pair, secondary, random, withMachine: random.Next(2) == 0);
        }

        pair.LoseLink();
        await pair.AloneAsync(primary);
        (await Task.WhenAll(inFlight)).ShouldAllBe(status => status == BlockStatus.Ok);
        await history.WriteAsync(primary.Primary, random, random.Next(0, 20));
        if (dies)
        {
            await StartAnewAsync(pair, secondary);
        }

        if (interrupted)
        {
            long from = random.NextInt64(LineagePair.LengthBytes);
            await pair.AttachAsync(primary, secondary, ResyncMode.Auto, link =>
                link.Fault = (op, offset) => op is "write" or "zero" && offset >= from ? BlockStatus.IoError : BlockStatus.Ok);
            if (!await primary.Primary.ResyncCompletion)
            {
                await pair.AloneAsync(primary);
                await history.WriteAsync(primary.Primary, random, random.Next(0, 5));
            }
            else
            {
                pair.LoseLink();
                await pair.AloneAsync(primary);
            }
        }
    }

    private static async Task PrimaryDiesAsync(LineagePair pair, LineagePair.Node primary, Random random, History history)
    {
        // The guest lives on only where the machine does.
        bool withMachine = random.Next(2) == 0;
        await KillAsync(pair, primary, random, withMachine);
        history.Died(withMachine);
        await pair.OpenPrimaryAsync(primary);
    }

    private static async Task PrimaryDiesWhileAloneAsync(
        LineagePair pair, LineagePair.Node primary, LineagePair.Node secondary, Random random, History history, List<Task<BlockStatus>> inFlight)
    {
        await OutageAsync(pair, primary, secondary, random, history, inFlight);
        await PrimaryDiesAsync(pair, primary, random, history);
    }

    private static async Task FailOverAsync(
        LineagePair pair, LineagePair.Node primary, LineagePair.Node secondary, Random random, History history)
    {
        await KillAsync(pair, primary, random, withMachine: random.Next(2) == 0);
        history.Died(withMachine: false);
        await pair.PromoteAsync(secondary);
        await history.WriteAsync(secondary.Primary, random, random.Next(0, 20));
        await StartAnewAsync(pair, primary);
    }

    private static async Task KillAsync(LineagePair pair, LineagePair.Node node, Random random, bool withMachine)
    {
        await pair.KillAsync(node, withMachine);
        if (withMachine)
        {
            node.Device.LoseUnflushed(random);
        }
    }

    /// <summary>As the agent does with a copy that misses writes: empty buffers, and a Start for a resync.</summary>
    private static async Task StartAnewAsync(LineagePair pair, LineagePair.Node node)
    {
        node.Epochs = new(LineagePair.LengthBytes);
        await pair.OpenSecondaryAsync(node);
    }

    /// <summary>What each slot may hold: the newest acknowledged number, and those that were in flight when something died.</summary>
    private sealed class History
    {
        private readonly HashSet<byte>[] allowed = [.. Enumerable.Range(0, Slots).Select(_ => new HashSet<byte> { 0 })];
        private readonly HashSet<byte>[] durable = [.. Enumerable.Range(0, Slots).Select(_ => new HashSet<byte> { 0 })];
        private readonly List<(int Slot, byte Number, Task<BlockStatus> Write)> pending = [];
        private byte number;

        public async Task WriteAsync(PrimaryReplica primary, Random random, int count)
        {
            for (int i = 0; i < count; i++)
            {
                int slot = random.Next(Slots);
                byte next = Next();
                if (await primary.WriteAsync(slot * SlotStride, Enumerable.Repeat(next, 4096).ToArray()) == BlockStatus.Ok)
                {
                    allowed[slot] = [next];
                    durable[slot].Add(next);
                }
                else
                {
                    throw new InvalidOperationException($"a write was refused: {primary.ServeReason}");
                }
            }
        }

        /// <summary>Forwards that are never answered: on one side or both, nobody knows.</summary>
        public List<Task<BlockStatus>> Begin(PrimaryReplica primary, LoopLink link, Random random, int count)
        {
            TaskCompletionSource never = new();
            bool lostOnTheWayBack = random.Next(2) == 0;
            Func<string, long, Task> hang = (op, _) => op == "write" ? never.Task : Task.CompletedTask;
            (link.Gate, link.ReturnGate) = lostOnTheWayBack ? (null, hang) : (hang, (Func<string, long, Task>?)null);
            HashSet<int> used = [];
            List<Task<BlockStatus>> writes = [];
            for (int i = 0; i < count; i++)
            {
                int slot = random.Next(Slots);
                if (used.Add(slot))
                {
                    byte next = Next();
                    Task<BlockStatus> write = primary.WriteAsync(slot * SlotStride, Enumerable.Repeat(next, 4096).ToArray()).AsTask();
                    pending.Add((slot, next, write));
                    writes.Add(write);
                    allowed[slot].Add(next);
                    durable[slot].Add(next);
                }
            }

            return writes;
        }

        public void Flushed()
        {
            for (int slot = 0; slot < Slots; slot++)
            {
                durable[slot] = [.. allowed[slot]];
            }
        }

        /// <param name="withMachine">What was acknowledged and not flushed may be gone with it, as from any disk with a cache.</param>
        public void Died(bool withMachine)
        {
            Settle();
            for (int slot = 0; withMachine && slot < Slots; slot++)
            {
                allowed[slot].UnionWith(durable[slot]);
            }
        }

        public async Task CheckAsync(PrimaryReplica primary)
        {
            Settle();
            for (int slot = 0; slot < Slots; slot++)
            {
                byte[] content = new byte[4096];
                (await primary.ReadAsync(slot * SlotStride, content.AsMemory())).ShouldBe(BlockStatus.Ok);
                content.Distinct().Count().ShouldBe(1, $"slot {slot} is torn");
                allowed[slot].ShouldContain(content[0], $"slot {slot}");

                // What was read once does not change any more.
                allowed[slot] = [content[0]];
                durable[slot] = [.. durable[slot], content[0]];
            }
        }

        private void Settle()
        {
            foreach ((int slot, byte written, Task<BlockStatus> write) in pending)
            {
                if (write is { IsCompletedSuccessfully: true, Result: BlockStatus.Ok } && allowed[slot].Contains(written))
                {
                    allowed[slot] = [written];
                }
            }

            pending.Clear();
        }

        private byte Next() => number = (byte)(number % 250 + 1);
    }
}
