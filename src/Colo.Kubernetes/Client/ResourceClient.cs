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
public sealed class ResourceClient<T>
{
    public ResourceClient(IKubernetes client, ResourceType<T> type) => throw new NotImplementedException();

    public ResourceType<T> Type => throw new NotImplementedException();

    /// <summary>Bound of each request.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Named in managedFields as who wrote; null: the server derives it from the user agent.</summary>
    public string? FieldManager { get; init; }

    /// <summary>A linearizable read. Throws <see cref="ApiErrorKind.NotFound"/>.</summary>
    public Task<Resource<T>> GetAsync(ObjectKey key, CancellationToken token) => throw new NotImplementedException();

    /// <summary>As <see cref="GetAsync"/>, null where there is no such object.</summary>
    public Task<Resource<T>?> FindAsync(ObjectKey key, CancellationToken token) => throw new NotImplementedException();

    /// <summary>The whole collection, read in pages of one consistent resource version.</summary>
    public Task<ResourceList<T>> ListAsync(ListOptions options, CancellationToken token) => throw new NotImplementedException();

    /// <summary>Creates <paramref name="document"/> (with its apiVersion, kind and metadata) in that namespace.</summary>
    public Task<Resource<T>> CreateAsync(string? inNamespace, JsonNode document, CancellationToken token) =>
        throw new NotImplementedException();

    /// <summary>Puts the whole object; with a metadata.resourceVersion in it, only where that is still the latest.</summary>
    public Task<Resource<T>> ReplaceAsync(ObjectKey key, JsonNode document, string? subresource, CancellationToken token) =>
        throw new NotImplementedException();

    /// <summary>RFC 7396. A metadata.resourceVersion in it makes it conditional.</summary>
    public Task<Resource<T>> MergePatchAsync(ObjectKey key, JsonNode patch, string? subresource, CancellationToken token) =>
        throw new NotImplementedException();

    /// <summary>RFC 6902; a failed test is <see cref="ApiErrorKind.Invalid"/>.</summary>
    public Task<Resource<T>> JsonPatchAsync(ObjectKey key, JsonArray patch, string? subresource, CancellationToken token) =>
        throw new NotImplementedException();

    /// <summary>Server-side apply: creates or changes; needs <see cref="FieldManager"/>.</summary>
    public Task<Resource<T>> ApplyAsync(ObjectKey key, JsonNode document, bool force, CancellationToken token) =>
        throw new NotImplementedException();

    /// <summary>Asks for deletion; finalizers may hold the object for long. True where it was there.</summary>
    public Task<bool> DeleteAsync(ObjectKey key, DeleteOptions? options, CancellationToken token) => throw new NotImplementedException();
}
