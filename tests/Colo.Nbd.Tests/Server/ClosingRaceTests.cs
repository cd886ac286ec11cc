using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

/// <summary>An export is closed while a connection is just being opened: whoever closed it may rely on nobody being left.</summary>
public sealed class ClosingRaceTests
{
    private const int Size = 1 << 20;

    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task A_connection_whose_answer_is_being_written_is_cut_and_its_early_write_is_not_served(bool byExportName, bool close)
    {
        HeldDisk disk = new();
        NbdExport export = new("x", disk);
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient client = server.Connect().Greet();
        disk.Hold();
        client.SendOption(byExportName ? NbdOption.ExportName : NbdOption.Go, byExportName ? "x"u8.ToArray() : Bytes.InfoRequest("x"));
        client.Request(NbdCommand.Write, 1, 0, 512, payload: new byte[512]); // already there when transmission begins
        await disk.Reached.WaitAsync(Bound);
        export.Connections.Count.ShouldBe(1);

        Task cut = close ? export.CloseAsync() : export.DisconnectAllAsync();
        cut.IsCompleted.ShouldBeFalse();
        disk.LetGo();
        await cut.WaitAsync(Bound);
        export.Connections.ShouldBeEmpty();
        disk.Writes.ShouldBe(0);
        client.ShouldBeClosed(afterAtMost: 512);
    }

    [Fact]
    public async Task A_connection_whose_provider_answers_after_the_close_is_refused_and_may_ask_for_another()
    {
        NbdExport closed = new("a", new MemoryDisk(Size));
        NbdExport other = new("b", new MemoryDisk(Size));
        SlowProvider provider = new(new NbdExportTable(closed, other));
        await using ServerFixture server = await ServerFixture.StartAsync(provider);
        RawClient client = server.Connect().Greet();
        client.SendOption(NbdOption.Go, Bytes.InfoRequest("a"));
        await provider.Asked.Task.WaitAsync(Bound);
        await closed.CloseAsync();
        provider.Answer.SetResult();
        client.ReadAnswer().Reply.ShouldBe(NbdOptionReply.ErrorShutdown);
        client.Go("b").ReadDisk(0, 512).Length.ShouldBe(512);
        closed.Connections.ShouldBeEmpty();
        other.Connections.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_client_that_leaves_before_its_answer_is_taken_off_the_list()
    {
        HeldDisk disk = new();
        int disconnected = 0;
        NbdExport export = new("x", disk) { Disconnected = _ => Interlocked.Increment(ref disconnected) };
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient client = server.Connect().Greet();
        disk.Hold();
        client.SendOption(NbdOption.Go, Bytes.InfoRequest("x"));
        await disk.Reached.WaitAsync(Bound);
        client.Dispose();
        disk.LetGo();
        await Eventually.TrueAsync(() => Volatile.Read(ref disconnected) == 1, "its end was told");
        export.Connections.ShouldBeEmpty();
    }

    [Fact]
    public async Task However_a_close_falls_among_connecting_clients_no_request_follows_it()
    {
        int opened = 0;
        for (int round = 0; round < 40; round++)
        {
            SealedDisk disk = new();
            NbdExport export = new("x", disk);
            await using ServerFixture server = await ServerFixture.StartAsync(export);
            using Barrier together = new(3);
            Task<int>[] clients =
            [
                .. Enumerable.Range(0, 2).Select(_ => Task.Factory.StartNew(
                    () => WriteWhileServed(server.Path, together), TaskCreationOptions.LongRunning)),
            ];
            together.SignalAndWait();
            while (round % 2 == 1 && export.Metrics.Snapshot(NbdOperation.Write).Requests < 2)
            {
                await Task.Yield(); // these rounds close among clients that come and go, the others among those that come
            }

            for (int spin = 0; spin < round; spin++)
            {
                await Task.Yield();
            }

            await export.CloseAsync().WaitAsync(Bound);
            disk.IsSealed = true; // as its owner disposes it now
            export.Connections.ShouldBeEmpty();
            opened += (await Task.WhenAll(clients).WaitAsync(Bound)).Sum();
            disk.LateCalls.ShouldBe(0, $"round {round}");
        }

        opened.ShouldBeGreaterThan(0); // else this proves nothing
    }

    /// <summary>Connects and writes again and again, until the export is refused; how often it got in.</summary>
    private static int WriteWhileServed(string path, Barrier together)
    {
        together.SignalAndWait();
        for (int opened = 0; ; opened++)
        {
            using RawClient client = new(path);
            client.Greet();
            try
            {
                client.SendOption(NbdOption.Go, Bytes.InfoRequest("x"));
                client.Request(NbdCommand.Write, 1, 0, 512, payload: new byte[512]);
                OptionAnswer answer;
                do
                {
                    answer = client.ReadAnswer();
                }
                while (answer.Reply == NbdOptionReply.Info);

                if (answer.Reply == NbdOptionReply.ErrorShutdown)
                {
                    return opened;
                }

                client.ReadChunk(0);
            }
            catch (IOException)
            {
                // Cut: the next attempt is refused.
            }
        }
    }

    /// <summary>Once held, whoever asks for its length (the answer to GO does) waits.</summary>
    private sealed class HeldDisk() : MemoryDisk(Size), IBlockDevice
    {
        private readonly TaskCompletionSource reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource let = new();
        private volatile bool held;

        public Task Reached => reached.Task;

        long IBlockDevice.LengthBytes
        {
            get
            {
                if (held)
                {
                    reached.TrySetResult();
                    let.Task.Wait(Bound).ShouldBeTrue();
                }

                return LengthBytes;
            }
        }

        public void Hold() => held = true;

        public void LetGo() => let.SetResult();
    }

    /// <summary>Counts the calls that come after its owner believes that none can.</summary>
    private sealed class SealedDisk() : MemoryDisk(Size), IBlockDevice
    {
        private int lateCalls;

        public volatile bool IsSealed;

        public int LateCalls => Volatile.Read(ref lateCalls);

        ValueTask<BlockStatus> IBlockDevice.WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags)
        {
            if (IsSealed)
            {
                Interlocked.Increment(ref lateCalls);
            }

            return new(BlockStatus.Ok);
        }
    }

    private sealed class SlowProvider(NbdExportTable table) : INbdExportProvider
    {
        public TaskCompletionSource Asked { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public ValueTask<IReadOnlyList<NbdExport>> ListAsync(NbdPeer peer, CancellationToken cancellationToken) =>
            table.ListAsync(peer, cancellationToken);

        public async ValueTask<NbdExportAnswer> FindAsync(string name, NbdPeer peer, CancellationToken cancellationToken)
        {
            NbdExportAnswer answer = await table.FindAsync(name, peer, cancellationToken);
            Asked.TrySetResult();
            await Answer.Task;
            return answer;
        }
    }
}
