using System.Net;
using System.Net.Http.Headers;
using System.Reflection;
using System.Text.Json;
using k8s;

namespace Colo.Kubernetes;

/// <summary>
/// Requests of the API server as bytes over the connection, credentials and trust of one client. An answer that is no success, or no
/// answer within its bound, is an <see cref="ApiException"/>.
/// </summary>
internal sealed class ApiRequests(IKubernetes client, TimeProvider time)
{
    /// <summary>The body of an error is one Status object.</summary>
    private const int MaxErrorBytes = 1 << 20;

    /// <summary>Shows in audit logs and as field manager.</summary>
    private static readonly ProductInfoHeaderValue UserAgent = new(
        Assembly.GetEntryAssembly()?.GetName().Name ?? "unknown", Assembly.GetEntryAssembly()?.GetName().Version?.ToString() ?? "0");

    private readonly k8s.Kubernetes client = client as k8s.Kubernetes
        ?? throw new ArgumentException("needs a client that is k8s.Kubernetes: it brings the connection", nameof(client));

    public async Task<ResponseBody> ReadAsync(
        HttpMethod method, string path, HttpContent? content, TimeSpan timeout, int maxBytes, CancellationToken token)
    {
        using CancellationTokenSource limit = new(timeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            using HttpResponseMessage response = await SendAsync(method, path, content, either.Token);
            return await ResponseBody.ReadAsync(response, maxBytes, either.Token);
        }
        catch (Exception e) when (IsSilence(e, token))
        {
            throw Silence(method, path, e);
        }
    }

    /// <summary>Opens a response whose body comes over time: bounded until the headers are there, then by its reader.</summary>
    public async Task<HttpResponseMessage> OpenAsync(string path, TimeSpan timeout, CancellationToken token)
    {
        using CancellationTokenSource limit = new(timeout, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            return await SendAsync(HttpMethod.Get, path, null, either.Token);
        }
        catch (Exception e) when (IsSilence(e, token))
        {
            throw Silence(HttpMethod.Get, path, e);
        }
    }

    /// <summary>What the transport throws where nobody answers; our own bound shows as a cancellation that the caller did not ask for.</summary>
    public static bool IsSilence(Exception e, CancellationToken callers) =>
        e is not ApiException
        && (e is HttpRequestException or IOException or ObjectDisposedException
            || (e is OperationCanceledException && !callers.IsCancellationRequested));

    private static ApiException Silence(HttpMethod method, string path, Exception cause) =>
        new(ApiErrorKind.Unreachable, $"no answer to {method} {path}: {Innermost(cause)}", inner: cause);

    private static string Innermost(Exception cause) =>
        cause is OperationCanceledException ? "not within its bound" : cause.GetBaseException().Message;

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken token)
    {
        using HttpRequestMessage request = new(method, new Uri(client.BaseUri, path))
        {
            Content = content,
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionOrLower,
        };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
        request.Headers.UserAgent.Add(UserAgent);
        if (client.Credentials is { } credentials)
        {
            await credentials.ProcessHttpRequestAsync(request, token);
        }

        HttpResponseMessage response = await client.HttpClient.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token);
        if (response.IsSuccessStatusCode)
        {
            return response;
        }

        using (response)
        {
            throw await RefusalAsync(method, path, response, token);
        }
    }

    private static async Task<ApiException> RefusalAsync(
        HttpMethod method, string path, HttpResponseMessage response, CancellationToken token)
    {
        using ResponseBody body = await ResponseBody.ReadAsync(response, MaxErrorBytes, token);
        int code = (int)response.StatusCode;
        ApiStatus status = ApiStatus.Parse(body.Span);
        string said = status.Message ?? response.ReasonPhrase ?? string.Empty;
        return new ApiException(ApiException.KindOf(code, status.Reason), $"{method} {path}: {code} {said}", code, status.Reason)
        {
            RetryAfter = response.Headers.RetryAfter?.Delta ?? status.RetryAfter,
        };
    }
}

/// <summary>The part of metav1.Status that says what went wrong; empty where the bytes are something else (a proxy's page).</summary>
internal readonly record struct ApiStatus(int? Code, string? Reason, string? Message, TimeSpan? RetryAfter)
{
    public static ApiStatus Parse(ReadOnlySpan<byte> json)
    {
        try
        {
            Utf8JsonReader reader = new(json);
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            JsonElement root = document.RootElement;
            TimeSpan? retry = root.TryGetProperty("details", out JsonElement details)
                && details.TryGetProperty("retryAfterSeconds", out JsonElement seconds) && seconds.TryGetInt32(out int s)
                    ? TimeSpan.FromSeconds(s)
                    : null;
            return new ApiStatus(
                root.TryGetProperty("code", out JsonElement code) && code.TryGetInt32(out int c) ? c : null, Text(root, "reason"),
                Text(root, "message"), retry);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return default;
        }
    }

    private static string? Text(JsonElement root, string name) =>
        root.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
