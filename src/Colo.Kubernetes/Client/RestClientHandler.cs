using System.Globalization;

namespace Colo.Kubernetes;

/// <summary>Counts requests by code and method, and sets the connection's patience before the first of them.</summary>
internal sealed class RestClientHandler : DelegatingHandler
{
    private static readonly TimeSpan PingDelay = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PingTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    private readonly Lock guard = new();
    private bool isTuned;

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Tune();
        string method = request.Method.Method;
        try
        {
            HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
            Count(((int)response.StatusCode).ToString(CultureInfo.InvariantCulture), method);
            return response;
        }
        catch (Exception)
        {
            Count("<error>", method);
            throw;
        }
    }

    private static void Count(string code, string method) => KubernetesMetrics.Requests.WithLabels(code, method).Inc();

    /// <summary>Of HTTP/2 only a ping tells that the other side is gone: a cancelled request leaves its connection in use, and the
    /// client's own default asks after three minutes.</summary>
    private void Tune()
    {
        lock (guard)
        {
            if (isTuned)
            {
                return;
            }

            isTuned = true;
            HttpMessageHandler? handler = InnerHandler;
            while (handler is DelegatingHandler outer)
            {
                handler = outer.InnerHandler;
            }

            if (handler is SocketsHttpHandler sockets)
            {
                sockets.ConnectTimeout = ConnectTimeout;
                sockets.KeepAlivePingDelay = PingDelay;
                sockets.KeepAlivePingTimeout = PingTimeout;
                sockets.KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests;
            }
        }
    }
}
