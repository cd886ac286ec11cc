using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s;

namespace Colo.Kubernetes;

/// <summary>What of a collection is asked for; everything where nothing is said.</summary>
public sealed record ListOptions
{
    /// <summary>Null or empty: all namespaces.</summary>
    public string? Namespace { get; init; }

    public string? LabelSelector { get; init; }

    public string? FieldSelector { get; init; }
}

/// <summary>A deletion takes place only where these still hold.</summary>
public sealed record DeleteOptions
{
    public string? Uid { get; init; }

    public string? ResourceVersion { get; init; }

    /// <summary>Background, Foreground or Orphan; null: the server's default.</summary>
    public string? PropagationPolicy { get; init; }
}

/// <summary>
/// Reads and writes objects of one type, each call one request (a list: one a page), each bounded in time. Every failure is an
/// <see cref="ApiException"/>; nothing is retried here, for only the caller knows whether its write is still right.
/// </summary>
public sealed class ResourceClient<T>(IKubernetes client, ResourceType<T> type, TimeProvider? time = null)
{
    private const int PageSize = 500;

    /// <summary>Above etcd's limit of one object; an answer beyond is not one object.</summary>
    private const int MaxObjectBytes = 8 << 20;

    private readonly ApiRequests requests = new(client, time ?? TimeProvider.System);

    public ResourceType<T> Type { get; } = type;

    /// <summary>Bound of each request.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Named in managedFields as who wrote; null: the server derives it from the user agent.</summary>
    public string? FieldManager { get; init; }

    /// <summary>A linearizable read. Throws <see cref="ApiErrorKind.NotFound"/>.</summary>
    public Task<Resource<T>> GetAsync(ObjectKey key, CancellationToken token) =>
        SendAsync(HttpMethod.Get, Type.ObjectPath(key), null, token);

    /// <summary>As <see cref="GetAsync"/>, null where there is no such object.</summary>
    public async Task<Resource<T>?> FindAsync(ObjectKey key, CancellationToken token)
    {
        try
        {
            return await GetAsync(key, token);
        }
        catch (ApiException e) when (e.Kind == ApiErrorKind.NotFound)
        {
            return null;
        }
    }

    /// <summary>The whole collection, read in pages of one consistent resource version.</summary>
    public Task<ResourceList<T>> ListAsync(ListOptions options, CancellationToken token) =>
        new CollectionReader<T>(requests, Type, options).ListAsync(PageSize, RequestTimeout, token);

    /// <summary>Creates <paramref name="document"/> (with its apiVersion, kind and metadata) in that namespace.</summary>
    public Task<Resource<T>> CreateAsync(string? inNamespace, JsonNode document, CancellationToken token) =>
        SendAsync(HttpMethod.Post, Manager(Type.CollectionPath(inNamespace)), Json(document, "application/json"), token);

    /// <summary>Puts the whole object; with a metadata.resourceVersion in it, only where that is still the latest.</summary>
    public Task<Resource<T>> ReplaceAsync(ObjectKey key, JsonNode document, string? subresource, CancellationToken token) =>
        SendAsync(HttpMethod.Put, Manager(Type.ObjectPath(key, subresource)), Json(document, "application/json"), token);

    /// <summary>RFC 7396. A metadata.resourceVersion in it makes it conditional.</summary>
    public Task<Resource<T>> MergePatchAsync(ObjectKey key, JsonNode patch, string? subresource, CancellationToken token) =>
        SendAsync(HttpMethod.Patch, Manager(Type.ObjectPath(key, subresource)), Json(patch, "application/merge-patch+json"), token);

    /// <summary>RFC 6902; a failed test is <see cref="ApiErrorKind.Invalid"/>.</summary>
    public Task<Resource<T>> JsonPatchAsync(ObjectKey key, JsonArray patch, string? subresource, CancellationToken token) =>
        SendAsync(HttpMethod.Patch, Manager(Type.ObjectPath(key, subresource)), Json(patch, "application/json-patch+json"), token);

    /// <summary>Server-side apply: creates or changes; needs <see cref="FieldManager"/>.</summary>
    public Task<Resource<T>> ApplyAsync(ObjectKey key, JsonNode document, bool force, CancellationToken token)
    {
        _ = FieldManager ?? throw new InvalidOperationException("server-side apply needs a FieldManager");
        string path = Manager(Type.ObjectPath(key)) + (force ? "&force=true" : string.Empty);
        return SendAsync(HttpMethod.Patch, path, Json(document, "application/apply-patch+yaml"), token);
    }

    /// <summary>Asks for deletion; finalizers may hold the object for long. True where it was there.</summary>
    public async Task<bool> DeleteAsync(ObjectKey key, DeleteOptions? options, CancellationToken token)
    {
        using HttpContent content = Json(DeletionDocument(options), "application/json");
        try
        {
            using ResponseBody body =
                await requests.ReadAsync(HttpMethod.Delete, Type.ObjectPath(key), content, RequestTimeout, MaxObjectBytes, token);
            return true;
        }
        catch (ApiException e) when (e.Kind == ApiErrorKind.NotFound)
        {
            return false;
        }
    }

    private async Task<Resource<T>> SendAsync(HttpMethod method, string path, HttpContent? content, CancellationToken token)
    {
        using (content)
        {
            using ResponseBody body = await requests.ReadAsync(method, path, content, RequestTimeout, MaxObjectBytes, token);
            try
            {
                return ObjectJson.Read(body.Span, Type);
            }
            catch (Exception e) when (e is not (OutOfMemoryException or ApiException))
            {
                throw new ApiException(ApiErrorKind.Malformed, $"{method} {path}: not readable: {e.Message}", inner: e);
            }
        }
    }

    private string Manager(string path) => FieldManager is null ? path : $"{path}?fieldManager={Uri.EscapeDataString(FieldManager)}";

    private static ByteArrayContent Json(JsonNode document, string mediaType)
    {
        ByteArrayContent content = new(JsonSerializer.SerializeToUtf8Bytes(document));
        content.Headers.ContentType = new MediaTypeHeaderValue(mediaType);
        return content;
    }

    private static JsonObject DeletionDocument(DeleteOptions? options)
    {
        JsonObject document = new() { ["apiVersion"] = "v1", ["kind"] = "DeleteOptions" };
        if (options?.PropagationPolicy is { } policy)
        {
            document["propagationPolicy"] = policy;
        }

        JsonObject preconditions = [];
        if (options?.Uid is { } uid)
        {
            preconditions["uid"] = uid;
        }

        if (options?.ResourceVersion is { } version)
        {
            preconditions["resourceVersion"] = version;
        }

        if (preconditions.Count > 0)
        {
            document["preconditions"] = preconditions;
        }

        return document;
    }
}
