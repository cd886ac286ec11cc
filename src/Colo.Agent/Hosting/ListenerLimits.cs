using System.Net;
using Colo.AgentApi;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Colo.Agent.Hosting;

/// <summary>What strangers may take of the agent's HTTP listeners, each bound with its reason.</summary>
public static class ListenerLimits
{
    /// <summary>Connections of the gRPC listener: operators (leader, standby, their successors), people's coloctl, probes.</summary>
    public const int GrpcConnections = 256;

    /// <summary>Connections of the metrics listener: Prometheus, perhaps two of them, and the kubelet's probes.</summary>
    public const int MetricsConnections = 64;

    /// <summary>Of one address: an operator opens more than one where more than <see cref="StreamsPerConnection"/> calls are under way.</summary>
    public const int ConnectionsPerAddress = 32;

    /// <summary>Calls at the same time on one connection.</summary>
    public const int StreamsPerConnection = 100;

    /// <summary>The largest request, Prepare, has a handful of names, each of at most 253 characters.</summary>
    public const int MaxMessageBytes = 64 << 10;

    /// <summary>Of one call, or scrape. Above a message's bound, so that gRPC refuses a large one in its own words before it comes.</summary>
    public const int MaxBodyBytes = 1 << 20;

    /// <summary>From the first byte to the end of TLS's handshake. A peer that is slower is not slow but hostile, or gone.</summary>
    public static readonly TimeSpan TlsHandshake = TimeSpan.FromSeconds(10);

    /// <summary>From a request's first byte to the end of its headers.</summary>
    public static readonly TimeSpan RequestHeaders = TimeSpan.FromSeconds(10);

    /// <summary>A connection on which nothing is under way is closed after it; Prometheus scrapes more often, and a stream of Watch is
    /// under way.</summary>
    public static readonly TimeSpan Idle = TimeSpan.FromMinutes(2);

    /// <summary>A peer that is gone without a word is found out by pings, so that its streams of Watch do not stay.</summary>
    public static readonly TimeSpan PingInterval = TimeSpan.FromSeconds(10);
    public static readonly TimeSpan PingAnswer = TimeSpan.FromSeconds(10);

    public static void Apply(KestrelServerLimits limits)
    {
        limits.MaxRequestBodySize = MaxBodyBytes;
        limits.RequestHeadersTimeout = RequestHeaders;
        limits.KeepAliveTimeout = Idle;
        limits.Http2.MaxStreamsPerConnection = StreamsPerConnection;
        limits.Http2.KeepAlivePingDelay = PingInterval;
        limits.Http2.KeepAlivePingTimeout = PingAnswer;
    }

    /// <summary>Closes a connection above a bound before a byte of it is read. Stands before TLS, so that a handshake counts.</summary>
    public static void LimitConnections(this ListenOptions listen, int most, ListenerRefusals refusals)
    {
        ConnectionCounts counts = new(most, ConnectionsPerAddress);
        listen.Use(next => async connection =>
        {
            IPAddress? address = (connection.RemoteEndPoint as IPEndPoint)?.Address;
            if (!counts.TryEnter(address))
            {
                refusals.Note(listen, connection.RemoteEndPoint);
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
