using System.Collections.Concurrent;
using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

/// <summary>Requests that the device answers later, and what a checkpoint waits for.</summary>
public sealed class PendingTests
{
    private const int Size = 8 << 20;

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task Requests_that_complete_later_in_another_order_are_each_answered_once(bool structured, bool extended)
    {
        ConcurrentDictionary<long, TaskCompletionSource> gates = new();
        MemoryDisk disk = new(Size) { Gate = (_, offset) => gates.GetOrAdd(offset, _ => new()).Task };
        Random random = new(5);
        for (int i = 0; i < Size; i++)
        {
            disk.Content[i] = (byte)random.Next();
        }

        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open(structured, extended);
        int[] lengths = [4096, 1, 300_000, 8192, 9000, 512, 4096, 100_000];
        for (int i = 0; i < lengths.Length; i++)
        {
            client.Request(NbdCommand.Read, (ulong)i, (ulong)i << 20, (ulong)lengths[i]);
        }

        await Eventually.TrueAsync(() => gates.Count == lengths.Length, "all requests are with the device");
        foreach (int i in (int[])[3, 0, 7, 1, 2, 6, 5, 4])
        {
            gates[(long)i << 20].SetResult();
            Chunk chunk = client.ReadChunk(lengths[i]);
            chunk.Cookie.ShouldBe((ulong)i);
            chunk.Data.AsSpan().SequenceEqual(disk.Content.Slice(i << 20, lengths[i])).ShouldBeTrue($"read {i}");
        }
    }

    [Fact]
    public async Task Completions_of_a_burst_out_of_order_carry_the_right_bytes()
    {
        ConcurrentDictionary<long, TaskCompletionSource> gates = new();
        MemoryDisk disk = new(Size) { Gate = (_, offset) => gates.GetOrAdd(offset, _ => new()).Task };
        for (int i = 0; i < Size; i++)
        {
            disk.Content[i] = (byte)(i >> 12);
        }

        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open(structured: true);
        const int count = 100;
        client.Send([.. Enumerable.Range(0, count).SelectMany(i => Bytes.Request(false, NbdCommand.Read, (ulong)i, (ulong)i * 4096, 4096))]);
        await Eventually.TrueAsync(() => gates.Count == count, "all requests are with the device");
        using (IoBatch.Begin())
        {
            foreach (int i in Enumerable.Range(0, count).OrderBy(i => (i * 37) % count))
            {
                gates[i * 4096L].SetResult();
            }
        }

        HashSet<ulong> seen = [];
        for (int i = 0; i < count; i++)
        {
            Chunk chunk = client.ReadChunk(0);
            seen.Add(chunk.Cookie).ShouldBeTrue();
            chunk.Offset.ShouldBe(chunk.Cookie * 4096);
            chunk.Data.ShouldAllBe(value => value == (byte)chunk.Cookie);
        }
    }

    [Fact]
    public async Task Payloads_of_waiting_writes_stay_untouched_while_more_arrives()
    {
        TaskCompletionSource gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        MemoryDisk disk = new(Size) { Gate = (_, _) => gate.Task };
        await using ServerFixture server = await ServerFixture.StartAsync(disk, new NbdServerOptions { ReceiveBufferBytes = 64 << 10 });
        RawClient client = server.Open();
        const int count = 150;
        for (int i = 0; i < count; i++)
        {
            client.Request(NbdCommand.Write, (ulong)i, (ulong)i * 5000, 5000, payload: Bytes.Pattern(5000, i));
        }

        gate.SetResult();
        for (int i = 0; i < count; i++)
        {
            client.ReadChunk(0).Error.ShouldBe(0u);
        }

        for (int i = 0; i < count; i++)
        {
            disk.Content.Slice(i * 5000, 5000).SequenceEqual(Bytes.Pattern(5000, i)).ShouldBeTrue($"write {i}");
        }
    }

    [Fact]
    public async Task No_more_requests_than_allowed_are_with_the_device_at_once()
    {
        using SemaphoreSlim gate = new(0);
        int started = 0;
        MemoryDisk disk = new(Size)
        {
            Gate = (_, _) =>
            {
                Interlocked.Increment(ref started);
                return gate.WaitAsync();
            },
        };
        await using ServerFixture server = await ServerFixture.StartAsync(disk, new NbdServerOptions { MaxRequestsInFlight = 4 });
        RawClient client = server.Open();
        for (int i = 0; i < 10; i++)
        {
            client.Request(NbdCommand.Write, (ulong)i, 0, 512, payload: new byte[512]);
        }

        await Eventually.TrueAsync(() => Volatile.Read(ref started) == 4, "four are started");
        gate.Release();
        client.ReadChunk(0).Error.ShouldBe(0u);
        await Eventually.TrueAsync(() => Volatile.Read(ref started) == 5, "the fifth follows the first answer");
        Volatile.Read(ref started).ShouldBe(5);
        gate.Release(9);
        for (int i = 1; i < 10; i++)
        {
            client.ReadChunk(0).Error.ShouldBe(0u);
        }
    }

    [Fact]
    public async Task A_checkpoint_waits_for_every_earlier_request_and_holds_every_later_one()
    {
        TaskCompletionSource writeGate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource<BlockStatus> checkpointGate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        ConcurrentQueue<string> order = new();
        MemoryDisk disk = new(Size)
        {
            Gate = (_, offset) =>
            {
                order.Enqueue($"write {offset}");
                return offset == 0 ? writeGate.Task : Task.CompletedTask;
            },
        };
        NbdExport export = new(string.Empty, disk)
        {
            Checkpoint = epoch =>
            {
                order.Enqueue($"checkpoint {epoch}");
                return new(checkpointGate.Task);
            },
        };
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient client = server.Open(structured: true, contexts: "colo:checkpoint");
        client.Send(
        [
            .. Bytes.Request(false, NbdCommand.Write, 1, 0, 512), .. new byte[512],
            .. Bytes.Request(false, NbdCommand.Write, 2, 4096, 512), .. new byte[512],
            .. Bytes.Request(false, NbdCommand.ColoCheckpoint, 3, 41, 0),
            .. Bytes.Request(false, NbdCommand.Write, 4, 8192, 512), .. new byte[512],
        ]);
        client.ReadChunk(0).Cookie.ShouldBe(2ul);
        order.ShouldBe(["write 0", "write 4096"]);
        writeGate.SetResult();
        client.ReadChunk(0).Cookie.ShouldBe(1ul);
        await Eventually.TrueAsync(() => order.Count == 3, "the checkpoint has begun");
        order.Last().ShouldBe("checkpoint 41");
        checkpointGate.SetResult(BlockStatus.Ok);
        client.ReadChunk(0).ShouldBeEquivalentTo(new Chunk(NbdReplyType.None, true, 3, 0, 0, []));
        client.ReadChunk(0).Cookie.ShouldBe(4ul);
        order.ShouldBe(["write 0", "write 4096", "checkpoint 41", "write 8192"]);
    }

    [Fact]
    public async Task A_failed_checkpoint_answers_its_error()
    {
        NbdExport export = new(string.Empty, new MemoryDisk(Size)) { Checkpoint = _ => new(BlockStatus.IoError) };
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient client = server.Open(structured: true, contexts: "colo:checkpoint");
        client.Error(NbdCommand.ColoCheckpoint, 1, 0).ShouldBe(5u);
        client.Error(NbdCommand.ColoCheckpoint, 1, 512).ShouldBe(22u);
        client.Error(NbdCommand.ColoCheckpoint, 1, 0, NbdCommandFlags.Fua).ShouldBe(22u);
        client.ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task A_client_that_does_not_read_holds_up_neither_the_device_nor_others()
    {
        ConcurrentQueue<TaskCompletionSource> gates = new();
        MemoryDisk disk = new(Size)
        {
            Gate = (_, offset) =>
            {
                if (offset == 0)
                {
                    return Task.CompletedTask;
                }

                TaskCompletionSource gate = new();
                gates.Enqueue(gate);
                return gate.Task;
            },
        };
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient deaf = server.Open();
        const int count = 20;
        for (int i = 0; i < count; i++)
        {
            deaf.Request(NbdCommand.Read, (ulong)i, 512, 1 << 20);
        }

        await Eventually.TrueAsync(() => gates.Count == count, "all reads are with the device");

        // This thread stands for the device's: SetResult runs the server's continuation and must come back although nobody reads.
        Task completing = Task.Run(() =>
        {
            foreach (TaskCompletionSource gate in gates)
            {
                gate.SetResult();
            }
        });
        await completing.WaitAsync(TimeSpan.FromSeconds(30));
        server.Open().ReadDisk(0, 4096).Length.ShouldBe(4096);
        for (int i = 0; i < count; i++)
        {
            deaf.ReadChunk(1 << 20).Error.ShouldBe(0u);
        }
    }
}
