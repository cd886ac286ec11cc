using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Colo.Agent.Hosting;

/// <summary>Counts connections that met a bound, and says so at most once a second a listener: a flood of them is no flood of lines.</summary>
public sealed class ListenerRefusals(TimeProvider time, ILogger<ListenerRefusals> log)
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, long> saidAt = new(StringComparer.Ordinal);
    private long total;

    public long Total => Interlocked.Read(ref total);

    public void Note(ListenOptions listener, EndPoint? peer)
    {
        Interlocked.Increment(ref total);
        string where = listener.ToString() ?? "";
        long now = time.GetTimestamp();
        if (!saidAt.TryGetValue(where, out long before) ? saidAt.TryAdd(where, now)
            : time.GetElapsedTime(before, now) >= Interval && saidAt.TryUpdate(where, now, before))
        {
            log.ListenerFull(where, peer?.ToString() ?? "unix", Total);
        }
    }
}
