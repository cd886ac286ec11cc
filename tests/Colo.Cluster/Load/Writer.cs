using System.Diagnostics;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Cluster.Load;

/// <summary>
/// A guest on one node that never stops writing: it connects to its disk's unix socket there whenever that is served, writes and now and
/// then reads back, and keeps the time of its answers. It resends nothing, and it knows nothing of other nodes: a disk that moves has a
/// second writer waiting on the other one.
/// </summary>
internal sealed class Writer : IAsyncDisposable
{
    private const int Workers = 4;
    private const int LargestRequestSlots = 4;

    /// <summary>Some thousand requests a second: a steady guest, not a benchmark, on a machine that runs a whole cluster.</summary>
    private static readonly TimeSpan Think = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(10);

    private readonly WriteJournal journal;
    private readonly Func<NbdEndpoint> endpoint;
    private readonly CancellationTokenSource stop = new();
    private readonly SemaphoreSlim connecting = new(1);
    private readonly Task[] workers;
    private readonly Lock clock = new();
    private NbdClientDevice? connection;
    private long count;
    private long first;
    private long last;
    private TimeSpan longestGap;

    private Writer(WriteJournal journal, Func<NbdEndpoint> endpoint)
    {
        (this.journal, this.endpoint) = (journal, endpoint);
        workers = [.. Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(worker)))];
    }

    public long Acknowledged => Interlocked.Read(ref count);

    /// <summary>Of the machine's monotonic clock, so comparable between writers; null before the first.</summary>
    public long? FirstAnswer => Read(ref first);

    public long? LastAnswer => Read(ref last);

    /// <summary>The longest silence between two answers since <see cref="ForgetGap"/>, or since the last answer if that is longer.</summary>
    public TimeSpan LongestGap
    {
        get
        {
            lock (clock)
            {
                TimeSpan open = last == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(last);
                return open > longestGap ? open : longestGap;
            }
        }
    }

    /// <param name="endpoint">Where the disk is now; asked at each attempt to connect.</param>
    public static Writer Start(WriteJournal journal, Func<NbdEndpoint> endpoint) => new(journal, endpoint);

    public void ForgetGap()
    {
        lock (clock)
        {
            longestGap = TimeSpan.Zero;
        }
    }

    /// <summary>Until so many more writes were acknowledged.</summary>
    /// <exception cref="TimeoutException">not within that time.</exception>
    public async Task ProgressAsync(long more, TimeSpan within)
    {
        long wanted = Acknowledged + more;
        long start = Stopwatch.GetTimestamp();
        while (Acknowledged < wanted)
        {
            if (Array.Find(workers, w => w.IsCompleted) is { } ended)
            {
                await ended;
            }

            if (Stopwatch.GetElapsedTime(start) > within)
            {
                throw new TimeoutException($"{wanted - Acknowledged} of {more} answers had not come after {within}");
            }

            await Task.Delay(5);
        }
    }

    /// <summary>Ends it; rethrows what it found wrong. What was without an answer stays so.</summary>
    public async ValueTask DisposeAsync()
    {
        if (stop.IsCancellationRequested)
        {
            return;
        }

        await stop.CancelAsync();
        Task ended = Task.WhenAll(workers);
        while (!ended.IsCompleted)
        {
            // Again, since one may have been on its way.
            await DropAsync(Volatile.Read(ref connection));
            await Task.WhenAny(ended, Task.Delay(RetryDelay));
        }

        await ended;
    }

    private async Task WorkAsync(int worker)
    {
        Random random = new(worker);
        int part = journal.Slots / Workers;
        byte[] bytes = new byte[LargestRequestSlots * WriteJournal.SlotBytes];
        while (!stop.IsCancellationRequested)
        {
            if (await ConnectionAsync() is not { } device)
            {
                continue;
            }

            int slots = random.Next(1, LargestRequestSlots + 1);
            int slot = (worker * part) + random.Next(part - slots + 1);
            if (!await WriteAsync(device, slot, bytes.AsMemory(0, slots * WriteJournal.SlotBytes), readBack: random.Next(16) == 0))
            {
                await DropAsync(device);
            }

            await Task.Delay(Think);
        }
    }

    /// <summary>False: the connection is lost, or the disk refuses; whether the write happened is unknown.</summary>
    private async Task<bool> WriteAsync(NbdClientDevice device, int slot, Memory<byte> bytes, bool readBack)
    {
        int slots = bytes.Length / WriteJournal.SlotBytes;
        long number = journal.Begin(slot, slots);
        journal.Fill(bytes.Span, slot, number);
        long offset = (long)slot * WriteJournal.SlotBytes;
        if (await AnswerAsync(device.WriteAsync(offset, bytes)) != BlockStatus.Ok)
        {
            return false;
        }

        Note();
        journal.Acknowledged(slot, slots, number);
        if (readBack)
        {
            byte[] found = new byte[bytes.Length];
            if (await AnswerAsync(device.ReadAsync(offset, found)) != BlockStatus.Ok)
            {
                return false;
            }

            found.AsSpan().SequenceEqual(bytes.Span).ShouldBeTrue($"slot {slot} does not read back what was acknowledged as {number}");
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

    private void Note()
    {
        lock (clock)
        {
            long now = Stopwatch.GetTimestamp();
            TimeSpan gap = last == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(last, now);
            longestGap = gap > longestGap ? gap : longestGap;
            first = first == 0 ? now : first;
            last = now;
            count++;
        }
    }

    private long? Read(ref long time)
    {
        lock (clock)
        {
            return time == 0 ? null : time;
        }
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
            return connection ??= await NbdClient.ConnectAsync(
                new NbdClientOptions { Endpoint = endpoint(), BusyPoll = TimeSpan.Zero }, stop.Token);
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
