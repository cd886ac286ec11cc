using System.Net;
using Colo.AgentApi;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Colo.Operator.Hosting;

/// <summary>What strangers may take of the operator's only listener (metrics and probes), each bound with its reason.</summary>
internal static class MetricsLimits
{
    /// <summary>Prometheus, perhaps two of them, and the kubelet's probes.</summary>
    private const int Connections = 64;

    /// <summary>Of one address: the kubelet's probes must get through whatever a pod does, or it would restart the operator.</summary>
    private const int ConnectionsPerAddress = 16;

    /// <summary>From a request's first byte to the end of its headers; a scraper sends them at once.</summary>
    private static readonly TimeSpan RequestHeaders = TimeSpan.FromSeconds(5);

    /// <summary>A connection on which nothing is asked. Short, because idle ones count: the kubelet opens one a probe, Prometheus opens another
    /// where its own was closed.</summary>
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(15);

    public static void Apply(KestrelServerLimits limits)
    {
        limits.MaxRequestBodySize = 0;
        limits.RequestHeadersTimeout = RequestHeaders;
        limits.KeepAliveTimeout = Idle;
    }

    /// <summary>Closes a connection above a bound before a byte of it is read.</summary>
    public static void LimitConnections(this ListenOptions listen)
    {
        ConnectionCounts counts = new(Connections, ConnectionsPerAddress);
        listen.Use(next => async connection =>
        {
            IPAddress? address = (connection.RemoteEndPoint as IPEndPoint)?.Address;
            if (!counts.TryEnter(address))
            {
                connection.Abort(new ConnectionAbortedException("too many connections"));
                return;
            }

            try
            {
                await next(connection);
            }
            finally
            {
                counts.Leave(address);
            }
        });
    }
}
