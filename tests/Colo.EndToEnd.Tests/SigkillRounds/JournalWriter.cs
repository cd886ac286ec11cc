using System.Diagnostics;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>
/// A guest that never stops: several requests in flight over one connection, each worker in a part of the disk of its own. It connects
/// again wherever the guest's socket leads, as often as it takes, and resends nothing: a write without an answer stays one.
/// </summary>
internal sealed class JournalWriter : IAsyncDisposable
{
    private const int Workers = 8;
    private const int LargestRequestSlots = 32;
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(20);

    /// <summary>A hang detector: failover, restart and held writes together take a few seconds on an idle machine.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly Journal journal;
    private readonly NbdClientOptions options;
    private readonly CancellationTokenSource stop = new();
    private readonly SemaphoreSlim connecting = new(1);
    private readonly Task[] workers;
    private NbdClientDevice? connection;
    private TaskCompletionSource running = Completed();
    private int parked;
    private long acknowledgedRequests;

    private JournalWriter(Journal journal, string socket, string export, int seed)
    {
        this.journal = journal;
        options = new NbdClientOptions { Endpoint = NbdEndpoint.Unix(socket, export), BusyPoll = TimeSpan.Zero };
        workers = [.. Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(worker, new Random(seed + worker))))];
    }

    public long AcknowledgedRequests => Interlocked.Read(ref acknowledgedRequests);

    public static JournalWriter Start(Journal journal, string socket, string export, int seed) => new(journal, socket, export, seed);

    /// <summary>Until so many more requests were acknowledged; throws where the writer failed or the service stays away.</summary>
    public async Task ProgressAsync(long more, Func<Task>? meanwhile = null)
    {
        long wanted = AcknowledgedRequests + more;
        long start = Stopwatch.GetTimestamp();
        while (AcknowledgedRequests < wanted)
        {
            if (Array.Find(workers, w => w.IsCompleted) is { } ended)
            {
                await ended;
            }

            if (Stopwatch.GetElapsedTime(start) > Patience)
            {
                throw new TimeoutException($"the writer had {wanted - AcknowledgedRequests} of {more} answers to go after {Patience}");
            }

            await (meanwhile?.Invoke() ?? Task.CompletedTask);
            await Task.Delay(TimeSpan.FromMilliseconds(10));
        }
    }

    /// <summary>Nothing is in flight afterwards.</summary>
    public async Task PauseAsync()
    {
        running = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await Eventually.TrueAsync(() => Volatile.Read(ref parked) == Workers, "every request of the writer has its answer");
    }

    public void Resume() => running.TrySetResult();

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        Resume();
        await DropAsync(connection);
        await Task.WhenAll(workers).WaitAsync(Patience).ContinueWith(_ => { }, TaskScheduler.Default);
        stop.Dispose();
        connecting.Dispose();
    }

    private async Task WorkAsync(int worker, Random random)
    {
        int part = journal.Slots / Workers;
        byte[] bytes = new byte[LargestRequestSlots * Journal.SlotBytes];
        while (!stop.IsCancellationRequested)
        {
            if (await ConnectionAsync() is not { } device)
            {
                continue;
            }

            int count = random.Next(1, LargestRequestSlots + 1);
            int first = (worker * part) + random.Next(part - count + 1);
            RequestFlags flags = random.Next(16) == 0 ? RequestFlags.ForceUnitAccess : RequestFlags.None;
            await WriteAsync(device, first, bytes.AsMemory(0, count * Journal.SlotBytes), flags);
        }
    }

    private async Task WriteAsync(NbdClientDevice device, int firstSlot, Memory<byte> bytes, RequestFlags flags)
    {
        long number = journal.Issue();
        int count = bytes.Length / Journal.SlotBytes;
        journal.Fill(bytes.Span, firstSlot, number);

        // Answers come on the connection's own thread, which must stay free to receive.
        Task<BlockStatus> answer = device.WriteAsync((long)firstSlot * Journal.SlotBytes, bytes, flags).AsTask();
        await ((Task)answer).ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        if (await answer == BlockStatus.Ok)
        {
            journal.Acknowledged(firstSlot, count, number);
            Interlocked.Increment(ref acknowledgedRequests);
        }
        else
        {
            journal.Unanswered(firstSlot, count, number);
            await DropAsync(device);
        }
    }

    /// <summary>Null: not now. Parks here while the writer is paused.</summary>
    private async Task<NbdClientDevice?> ConnectionAsync()
    {
        if (!running.Task.IsCompleted)
        {
            Interlocked.Increment(ref parked);
            await running.Task;
            Interlocked.Decrement(ref parked);
        }

        return Volatile.Read(ref connection) ?? await ConnectAsync();
    }

    private async Task<NbdClientDevice?> ConnectAsync()
    {
        await connecting.WaitAsync();
        try
        {
            return connection ??= await NbdClient.ConnectAsync(options, stop.Token);
        }
        catch (Exception e) when (e is NbdClientException or OperationCanceledException)
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

    private static TaskCompletionSource Completed()
    {
        TaskCompletionSource done = new();
        done.SetResult();
        return done;
    }
}
