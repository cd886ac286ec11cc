using System.Net;
using System.Text;
using Colo.Testing;

namespace Colo.Kubernetes.Tests.Kit;

/// <summary>
/// An HTTP hop in front of the real API server, for what a real one cannot be made to do at a certain moment: everything is passed on,
/// except where <see cref="Interfere"/> answers instead.
/// </summary>
internal sealed class ApiProxy : IAsyncDisposable
{
    private readonly HttpListener listener = new();
    private readonly k8s.Kubernetes server;
    private readonly CancellationTokenSource stop = new();
    private readonly Task serving;

    public ApiProxy(k8s.Kubernetes server)
    {
        this.server = server;
        Address = new Uri($"http://127.0.0.1:{LoopbackPort.FindFree()}/");
        listener.Prefixes.Add(Address.ToString());
        listener.Start();
        serving = ServeAsync();
    }

    public Uri Address { get; }

    /// <summary>Given path and query; null passes the request on.</summary>
    public Func<string, ProxyAnswer?> Interfere { get; set; } = _ => null;

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        listener.Close();
        await serving;
        stop.Dispose();
    }

    private async Task ServeAsync()
    {
        List<Task> requests = [];
        try
        {
            while (!stop.IsCancellationRequested)
            {
                requests.Add(AnswerAsync(await listener.GetContextAsync()));
            }
        }
        catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
        {
            // Closed.
        }

        await Task.WhenAll(requests);
    }

    private async Task AnswerAsync(HttpListenerContext context)
    {
        try
        {
            if (Interfere(context.Request.RawUrl!) is { } answer)
            {
                context.Response.StatusCode = answer.Status;
                context.Response.ContentType = "application/json";
                await context.Response.OutputStream.WriteAsync(Encoding.UTF8.GetBytes(answer.Body), stop.Token);
            }
            else
            {
                await PassOnAsync(context);
            }

            context.Response.Close();
        }
        catch (Exception e) when (e is IOException or HttpRequestException or HttpListenerException or ObjectDisposedException
            or OperationCanceledException)
        {
            // A side hung up.
            context.Response.Abort();
        }
    }

    private async Task PassOnAsync(HttpListenerContext context)
    {
        using HttpRequestMessage request = new(new HttpMethod(context.Request.HttpMethod), new Uri(server.BaseUri, context.Request.RawUrl!));
        if (context.Request.HasEntityBody)
        {
            request.Content = new StreamContent(context.Request.InputStream);
            request.Content.Headers.TryAddWithoutValidation("Content-Type", context.Request.ContentType);
        }

        using HttpResponseMessage response =
            await server.HttpClient.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop.Token);
        context.Response.StatusCode = (int)response.StatusCode;
        context.Response.ContentType = response.Content.Headers.ContentType?.ToString();
        context.Response.SendChunked = true;
        await using Stream body = await response.Content.ReadAsStreamAsync(stop.Token);
        byte[] buffer = new byte[16 * 1024];
        while (await body.ReadAsync(buffer, stop.Token) is var read and > 0)
        {
            await context.Response.OutputStream.WriteAsync(buffer.AsMemory(0, read), stop.Token);
            await context.Response.OutputStream.FlushAsync(stop.Token);
        }
    }
}

internal sealed record ProxyAnswer(int Status, string Body)
{
    private const string Expired =
        """{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Expired","code":410}""";

    public static ProxyAnswer Gone => new(410, Expired);

    public static ProxyAnswer GoneInStream => new(200, $$"""{"type":"ERROR","object":{{Expired}}}""" + "\n");

    /// <summary>A watch that ends before it says anything.</summary>
    public static ProxyAnswer Empty => new(200, string.Empty);
}
