using System.Buffers.Binary;
using System.Diagnostics;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Operator.Tests.Kit;

/// <summary>
/// A guest that writes one block after the other, the next only when the former was acknowledged. A connection that breaks is opened again
/// wherever the volume is served then, and what had no answer is written again. Every acknowledged block must be there at the end.
/// </summary>
internal sealed class PersistentGuest : IAsyncDisposable
{
    private const int BlockBytes = 4096;
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    private readonly Func<Task<string?>> uri;
    private readonly long[] expected;
    private readonly CancellationTokenSource closing = new();
    private readonly Task working;
    private NbdClientDevice? device;
    private long acknowledged;
    private long lastAnswer = Stopwatch.GetTimestamp();
    private TimeSpan longestPause;

    /// <param name="uri">Where the volume is served now; null: nowhere.</param>
    public PersistentGuest(Func<Task<string?>> uri, int blocks = 1024)
    {
        this.uri = uri;
        expected = new long[blocks];
        working = Task.Run(WriteAlwaysAsync);
    }

    public long Acknowledged => Interlocked.Read(ref acknowledged);

    /// <summary>Between two acknowledgements.</summary>
    public TimeSpan LongestPause => longestPause;

    public async Task MoreAsync(int count, string what)
    {
        long goal = Acknowledged + count;
        await Eventually.TrueAsync(
            async () =>
            {
                if (working.IsCompleted)
                {
                    await working;
                }

                return Acknowledged >= goal;
            },
            what);
    }

    /// <summary>Ends the work, and reads every block back.</summary>
    public async Task VerifyAsync()
    {
        await closing.CancelAsync();
        await working;
        device ??= await ConnectAsync(CancellationToken.None);
        byte[] block = new byte[BlockBytes];
        for (int i = 0; i < expected.Length; i++)
        {
            (await device.ReadAsync((long)i * BlockBytes, block)).ShouldBe(BlockStatus.Ok);
            BinaryPrimitives.ReadInt64LittleEndian(block).ShouldBe(expected[i], $"block {i}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync();
        await working.ContinueWith(_ => { }, TaskScheduler.Default);
        await DropAsync();
        closing.Dispose();
    }

    private async Task WriteAlwaysAsync()
    {
        byte[] block = new byte[BlockBytes];
        for (long number = 1; !closing.IsCancellationRequested; number++)
        {
            int index = (int)(number % expected.Length);
            BinaryPrimitives.WriteInt64LittleEndian(block, number);
            if (!await WriteAsync(index, block))
            {
                return;
            }

            expected[index] = number;
            Interlocked.Increment(ref acknowledged);
            TimeSpan pause = Stopwatch.GetElapsedTime(lastAnswer);
            longestPause = pause > longestPause ? pause : longestPause;
            lastAnswer = Stopwatch.GetTimestamp();
        }
    }

    /// <returns>False: it is to end, and the block is as it was.</returns>
    private async Task<bool> WriteAsync(int index, byte[] block)
    {
        bool tried = false;
        while (tried || !closing.IsCancellationRequested)
        {
            try
            {
                device ??= await ConnectAsync(CancellationToken.None);
                tried = true;
                if (await device.WriteAsync((long)index * BlockBytes, block) == BlockStatus.Ok)
                {
                    return true;
                }
            }
            catch (Exception e) when (e is NbdClientException or IOException or InvalidOperationException)
            {
                // Looked for again below.
            }

            await DropAsync();
            await Task.Delay(Pause);
        }

        return false;
    }

    private async Task<NbdClientDevice> ConnectAsync(CancellationToken token)
    {
        string at = await uri() ?? throw new InvalidOperationException("the volume is served nowhere");
        return await NbdClient.ConnectAsync(
            new NbdClientOptions { Endpoint = NbdEndpoint.Parse(at), RequestTimeout = RequestTimeout, HandshakeTimeout = TimeSpan.FromSeconds(2) }, token);
    }

    private async Task DropAsync()
    {
        if (device is not null)
        {
            await device.DisposeAsync();
            device = null;
        }
    }
}
