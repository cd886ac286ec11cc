using Microsoft.Extensions.Logging;

namespace Colo.Nbd.Server;

/// <summary>Which bound a connection met.</summary>
internal enum NbdRefusal
{
    ServerFull,
    AddressFull,
}

/// <summary>Says that connections were refused, at most once a second: a flood of them must not become a flood of lines.</summary>
internal sealed class RefusalLog(ILogger logger, NbdServerOptions options, TimeProvider time)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Lock gate = new();
    private long? saidAt;
    private long unsaid;

    public void Note(NbdRefusal why, NbdPeer peer)
    {
        long before;
        lock (gate)
        {
            if (saidAt is { } at && time.GetElapsedTime(at) < Interval)
            {
                unsaid++;
                return;
            }

            (saidAt, before, unsaid) = (time.GetTimestamp(), unsaid, 0);
        }

        if (why == NbdRefusal.ServerFull)
        {
            NbdServerLog.ServerFull(logger, peer, options.MaxConnections, before);
        }
        else
        {
            NbdServerLog.AddressFull(logger, peer, options.MaxHandshakesPerAddress, before);
        }
    }
}
