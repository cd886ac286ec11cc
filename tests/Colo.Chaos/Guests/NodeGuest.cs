using System.Diagnostics;
using Colo.Blocks;
using Colo.Nbd.Client;

namespace Colo.Chaos.Guests;

/// <summary>
/// The guest's hands on one node: it connects to the disk's socket there whenever one is served, and writes, reads back and flushes without
/// end. It knows nothing of other nodes and gives up no connection by itself: a primary that does not know that it was replaced would
/// go on answering it, which is what <see cref="History"/> looks for. It repeats nothing.
/// </summary>
internal sealed class NodeGuest : IAsyncDisposable
{
    private const int Workers = 4;
    private const int ReadsOneIn = 8;
    private const int FlushesOneIn = 32;

    /// <summary>Some hundred requests a second: two cores run everything else of the run, too.</summary>
    private static readonly TimeSpan Think = TimeSpan.FromMilliseconds(4);
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(20);

    private readonly History history;
    private readonly string node;
    private readonly string socket;
    private readonly CancellationTokenSource stop = new();
    private readonly SemaphoreSlim connecting = new(1);
    private readonly Task working;
    private NbdClientDevice? connection;

    private NodeGuest(History history, string node, string socket, int seed)
    {
        (this.history, this.node, this.socket) = (history, node, socket);
        working = Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(worker, new Random(seed + worker)))));
    }

    public static NodeGuest Start(History history, string node, string socket, int seed) => new(history, node, socket, seed);

    public static Task<NbdClientDevice> ConnectAsync(string socket, CancellationToken token) => NbdClient.ConnectAsync(
        new NbdClientOptions { Endpoint = NbdEndpoint.Unix(socket), BusyPoll = TimeSpan.Zero, HandshakeTimeout = TimeSpan.FromSeconds(2) }, token);

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        while (!working.IsCompleted)
        {
            // Again, since one may have been on its way.
            await DropAsync(Volatile.Read(ref connection));
            await Task.WhenAny(working, Task.Delay(RetryDelay));
        }

        await working;
        connecting.Dispose();
        stop.Dispose();
    }

    private async Task WorkAsync(int worker, Random random)
    {
        byte[] bytes = new byte[History.SlotBytes];
        int part = history.Slots / Workers;
        while (!stop.IsCancellationRequested)
        {
            if (await ConnectionAsync() is { } device
                && !await RequestAsync(device, (worker * part) + random.Next(part), bytes, random.Next(ReadsOneIn) == 0, random.Next(FlushesOneIn) == 0))
            {
                await DropAsync(device);
                await Task.Delay(RetryDelay);
            }

            await Task.Delay(Think);
        }
    }

    /// <summary>False: the connection is lost, or the disk refuses; whether the write happened is unknown.</summary>
    private async Task<bool> RequestAsync(NbdClientDevice device, int slot, byte[] bytes, bool readsBack, bool flushes)
    {
        long number = history.Begin(slot);
        history.Fill(bytes, slot, number);
        long sent = Stopwatch.GetTimestamp();
        if (await AnswerAsync(device.WriteAsync((long)slot * History.SlotBytes, bytes)) != BlockStatus.Ok)
        {
            return false;
        }

        history.Acknowledged(slot, number, node, sent);
        if (readsBack)
        {
            if (await AnswerAsync(device.ReadAsync((long)slot * History.SlotBytes, bytes)) != BlockStatus.Ok)
            {
                return false;
            }

            history.ReadBack(slot, number, bytes);
        }

        if (flushes)
        {
            if (await AnswerAsync(device.FlushAsync()) != BlockStatus.Ok)
            {
                return false;
            }

            history.Flushed();
        }

        return true;
    }

    /// <summary>Answers come on the connection's own thread, which must stay free to receive.</summary>
    private static async Task<BlockStatus> AnswerAsync(ValueTask<BlockStatus> answer)
    {
        Task<BlockStatus> task = answer.AsTask();
        await ((Task)task).ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        return await task;
    }

    private async Task<NbdClientDevice?> ConnectionAsync()
    {
        if (Volatile.Read(ref connection) is { } open)
        {
            return open;
        }

        await connecting.WaitAsync();
        try
        {
            stop.Token.ThrowIfCancellationRequested();
            return connection ??= await ConnectAsync(socket, stop.Token);
        }
        catch (Exception e) when (e is NbdClientException or OperationCanceledException or IOException)
        {
            await Task.Delay(RetryDelay);
            return null;
        }
        finally
        {
            connecting.Release();
        }
    }

    private async Task DropAsync(NbdClientDevice? device)
    {
        if (device is not null && Interlocked.CompareExchange(ref connection, null, device) == device)
        {
            await device.DisposeAsync();
        }
    }
}
