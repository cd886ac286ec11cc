using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Agent.Tests.Cluster;

/// <summary>
/// A guest that writes one block after the other over NBD, the next only when the former was acknowledged, and remembers what each block
/// must hold. It writes in the second half of the disk; the first is the test's own.
/// </summary>
internal sealed class AcknowledgedWriter : IAsyncDisposable
{
    private const int BlockBytes = 4096;

    private readonly NbdClientDevice device;
    private readonly long[] expected;
    private readonly long startBytes;
    private readonly CancellationTokenSource closing = new();
    private Task working = Task.CompletedTask;
    private long acknowledged;
    private BlockStatus failure = BlockStatus.Ok;

    private AcknowledgedWriter(NbdClientDevice device, long diskBytes)
    {
        (this.device, startBytes) = (device, diskBytes / 2);
        expected = new long[diskBytes / 2 / BlockBytes];
    }

    public long Acknowledged => Interlocked.Read(ref acknowledged);

    public static async Task<AcknowledgedWriter> OpenAsync(string uri, long diskBytes)
    {
        AcknowledgedWriter writer = new(
            await NbdClient.ConnectAsync(new NbdClientOptions { Endpoint = NbdEndpoint.Parse(uri) }), diskBytes);
        writer.working = writer.WriteAsync();
        return writer;
    }

    /// <summary>Waits for as many acknowledgements from now on.</summary>
    public async Task MoreAsync(int count, string what)
    {
        long goal = Acknowledged + count;
        await Eventually.TrueAsync(() => Task.FromResult(Acknowledged >= goal), what);
    }

    /// <summary>Ends the work, and reads every block back: each holds the number that was acknowledged last.</summary>
    public async Task VerifyAsync()
    {
        await closing.CancelAsync();
        await working;
        failure.ShouldBe(BlockStatus.Ok);
        byte[] block = new byte[BlockBytes];
        for (int i = 0; i < expected.Length; i++)
        {
            (await device.ReadAsync(startBytes + ((long)i * BlockBytes), block)).ShouldBe(BlockStatus.Ok);
            BinaryPrimitives.ReadInt64LittleEndian(block).ShouldBe(expected[i], $"block {i}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await closing.CancelAsync();
        await device.DisposeAsync();
        await working;
        closing.Dispose();
    }

    private async Task WriteAsync()
    {
        byte[] block = new byte[BlockBytes];
        for (long number = 1; !closing.IsCancellationRequested; number++)
        {
            int index = (int)(number % expected.Length);
            BinaryPrimitives.WriteInt64LittleEndian(block, number);
            BlockStatus status = await device.WriteAsync(startBytes + ((long)index * BlockBytes), block);
            if (status != BlockStatus.Ok)
            {
                failure = status;
                return;
            }

            expected[index] = number;
            Interlocked.Increment(ref acknowledged);
        }
    }
}
