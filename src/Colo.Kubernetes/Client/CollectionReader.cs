using System.Globalization;
using System.Text;

namespace Colo.Kubernetes;

/// <summary>Lists a collection in pages and opens watches of it.</summary>
internal sealed class CollectionReader<T>(ApiRequests requests, ResourceType<T> type, ListOptions options)
{
    /// <summary>A page of 500 objects of etcd's largest (1.5 MiB) is no page that a healthy cluster gives.</summary>
    private const int MaxPageBytes = 128 << 20;

    /// <summary>A consistent list (never of a cache that may lag), in pages. Where the pages' version expires in between, read once
    /// more without pages: slower for the server, but it cannot expire.</summary>
    public async Task<ResourceList<T>> ListAsync(int pageSize, TimeSpan timeout, CancellationToken token)
    {
        try
        {
            return await ListPagesAsync(pageSize, timeout, token);
        }
        catch (ApiException e) when (e.Kind == ApiErrorKind.Expired)
        {
            return await ListPagesAsync(0, timeout, token);
        }
    }

    public async Task<WatchStream<T>> WatchAsync(string version, TimeSpan serverTimeout, TimeSpan timeout, TimeSpan idle,
        TimeProvider time, CancellationToken token)
    {
        string path = Query()
            .Append("&watch=true&allowWatchBookmarks=true&resourceVersion=").Append(Uri.EscapeDataString(version))
            .Append(CultureInfo.InvariantCulture, $"&timeoutSeconds={(int)Math.Ceiling(serverTimeout.TotalSeconds)}")
            .ToString();
        HttpResponseMessage response = await requests.OpenAsync(path, timeout, token);
        return await WatchStream<T>.OpenAsync(response, type, idle, time, token);
    }

    private async Task<ResourceList<T>> ListPagesAsync(int pageSize, TimeSpan timeout, CancellationToken token)
    {
        List<Resource<T>> items = [];
        List<UnreadableObject> unreadable = [];
        string? next = null;
        while (true)
        {
            ListPage<T> page = await ReadPageAsync(pageSize, next, timeout, token);
            items.AddRange(page.Items);
            unreadable.AddRange(page.Unreadable);
            next = page.Continue;
            if (next is null)
            {
                return new ResourceList<T>(items, page.ResourceVersion) { Unreadable = unreadable };
            }
        }
    }

    private async Task<ListPage<T>> ReadPageAsync(int pageSize, string? next, TimeSpan timeout, CancellationToken token)
    {
        StringBuilder query = Query();
        if (pageSize > 0)
        {
            query.Append(CultureInfo.InvariantCulture, $"&limit={pageSize}");
        }

        if (next is not null)
        {
            query.Append("&continue=").Append(Uri.EscapeDataString(next));
        }

        using ResponseBody body = await requests.ReadAsync(HttpMethod.Get, query.ToString(), null, timeout, MaxPageBytes, token);
        return ListPage<T>.Parse(body.Span, type);
    }

    private StringBuilder Query()
    {
        StringBuilder query = new StringBuilder(type.CollectionPath(options.Namespace)).Append('?');
        if (!string.IsNullOrEmpty(options.LabelSelector))
        {
            query.Append("&labelSelector=").Append(Uri.EscapeDataString(options.LabelSelector));
        }

        if (!string.IsNullOrEmpty(options.FieldSelector))
        {
            query.Append("&fieldSelector=").Append(Uri.EscapeDataString(options.FieldSelector));
        }

        return query;
    }
}
