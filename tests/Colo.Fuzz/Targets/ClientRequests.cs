using Colo.Blocks;
using Colo.Nbd.Client;

namespace Colo.Fuzz.Targets;

/// <summary>
/// What our client asks a server for, always the same: a recorded answer fits when it is played back, because cookies count up from
/// the start of a connection.
/// </summary>
internal static class ClientRequests
{
    /// <summary>Ways to ask, chosen by an input's first byte.</summary>
    public const int Ways = 5;

    /// <summary>Ways that go on to transmission; the others are INFO and LIST.</summary>
    public const int ConnectingWays = 3;

    public static NbdClientOptions Options(NbdEndpoint endpoint, int way) => new()
    {
        Endpoint = endpoint,
        BusyPoll = TimeSpan.Zero,
        ReceiveBufferBytes = 64 << 10,
        RequestStructuredReplies = way != 0,
        RequestExtendedHeaders = way is not 0 and not 1,
        RequestCheckpoint = way == 2,
    };

    /// <summary>Connects, asks for everything at once, waits for every answer, closes.</summary>
    /// <returns>How many requests were answered Ok.</returns>
    public static async Task<int> RunAsync(NbdEndpoint endpoint, int way, Action? connected = null)
    {
        NbdClientOptions options = Options(endpoint, way);
        if (way >= ConnectingWays)
        {
            _ = way == ConnectingWays ? (object)await NbdClient.GetInfoAsync(options) : await NbdClient.ListAsync(options);
            return 0;
        }

        await using NbdClientDevice device = await NbdClient.ConnectAsync(options);
        connected?.Invoke();
        List<Task<BlockStatus>> answers = Ask(device);
        BlockStatus[] statuses = await Task.WhenAll(answers);
        if (device.LastError is { Kind: NbdClientErrorKind.InternalFault or NbdClientErrorKind.Timeout } fault)
        {
            throw new FuzzFailureException("the client ended on a fault of its own", fault);
        }

        return statuses.Count(s => s == BlockStatus.Ok);
    }

    private static List<Task<BlockStatus>> Ask(NbdClientDevice device)
    {
        List<Task<BlockStatus>> answers = [];
        using (IoBatch.Begin())
        {
            answers.Add(device.ReadAsync(0, new byte[1024]).AsTask());
            answers.Add(device.WriteAsync(4096, new byte[512]).AsTask());
            answers.Add(device.GetExtentsAsync(new BlockRange(0, Math.Min(device.LengthBytes, 128 << 10)), []).AsTask());
            answers.Add(device.ReadAsync(1000, new byte[2_001]).AsTask());
            answers.Add(device.WriteZeroesAsync(new BlockRange(8192, 4096), RequestFlags.MayUnmap).AsTask());
            answers.Add(device.DiscardAsync(new BlockRange(16384, 4096)).AsTask());
            answers.Add(device.WriteAsync(20_000, new byte[3], RequestFlags.ForceUnitAccess).AsTask());
            answers.Add(device.FlushAsync().AsTask());
            answers.Add(device.ReadAsync(130_000, new byte[512]).AsTask());
            if (device.SupportsCheckpoint)
            {
                answers.Add(device.CheckpointAsync(1).AsTask());
            }
        }

        return answers;
    }
}
