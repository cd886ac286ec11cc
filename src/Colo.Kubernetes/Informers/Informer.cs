using k8s;
using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>
/// A copy of one collection of the API server, kept up to date by list and watch. It may lag; it never shows an object that was not
/// there, and misses no deletion for longer than it takes to reach the server again. One <see cref="RunAsync"/> at a time.
/// </summary>
public sealed class Informer<T>
{
    /// <summary>A server that answers, but refuses the same watch so often, is asked for a list instead.</summary>
    private const int RefusalsBeforeRelist = 3;

    private readonly CollectionReader<T> reader;
    private readonly ResourceType<T> type;
    private readonly InformerOptions options;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly Backoff backoff;
    private readonly ResourceCache<T> cache = new();
    private readonly TaskCompletionSource synced = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Where the next watch begins; null: list first.</summary>
    private string? version;
    private int refusals;
    private long heard;
    private int lists;
    private int watches;

    public Informer(IKubernetes client, ResourceType<T> type, InformerOptions options, TimeProvider time, ILogger log)
    {
        ListOptions which = new()
        {
            Namespace = options.Namespace,
            LabelSelector = options.LabelSelector,
            FieldSelector = options.FieldSelector,
        };
        reader = new CollectionReader<T>(new ApiRequests(client, time), type, which);
        this.type = type;
        this.options = options;
        this.time = time;
        this.log = log;
        backoff = new Backoff(options.MinBackoff, options.MaxBackoff);
    }

    /// <summary>Told of each change, one after another, after the copy shows it; the first list counts as creations. Handlers only note
    /// the key (add it to a queue): what they do holds up the watch, and what they throw is logged.</summary>
    public event Action<ResourceChange<T>>? Changed;

    /// <summary>Told of each state of an object that does not parse.</summary>
    public event Action<UnreadableObject>? Unreadable;

    /// <summary>Completes when the first list is in the copy and told to <see cref="Changed"/>.</summary>
    public Task Synced => synced.Task;

    /// <summary>How long ago the server last said anything (an event, a bookmark, a list); null before the first.</summary>
    public TimeSpan? SilentFor => Volatile.Read(ref heard) is var last and not 0 ? time.GetElapsedTime(last) : null;

    /// <summary>Lists and watches begun so far.</summary>
    internal (int Lists, int Watches) Requests => (Volatile.Read(ref lists), Volatile.Read(ref watches));

    public Resource<T>? Get(ObjectKey key) => cache.Get(key);

    /// <summary>All objects at one moment; the same array until something changes.</summary>
    public IReadOnlyList<Resource<T>> List() => cache.List();

    /// <summary>Follows the collection until cancelled; failures of the server are waited out, whatever they are.</summary>
    public async Task RunAsync(CancellationToken token)
    {
        while (!token.IsCancellationRequested)
        {
            try
            {
                if (version is null)
                {
                    await ListAsync(token);
                }

                if (!await WatchAsync(token))
                {
                    // It ended before it said anything: a server or proxy that does so at once must not be asked in a tight loop.
                    await WaitAsync(backoff.Next(), token);
                }
            }
            catch (ApiException e)
            {
                Judge(e);
                await WaitAsync(backoff.Next(e.RetryAfter), token);
            }
            catch (OperationCanceledException) when (token.IsCancellationRequested)
            {
                return;
            }
        }
    }

    private async Task ListAsync(CancellationToken token)
    {
        Interlocked.Increment(ref lists);
        ResourceList<T> list = await reader.ListAsync(options.PageSize, options.RequestTimeout, token);
        Hear();
        Tell(cache.Replace(list));
        foreach (UnreadableObject unreadable in list.Unreadable)
        {
            Tell(unreadable);
        }

        version = list.ResourceVersion;
        log.Listed(type.Plural, list.Items.Count, list.ResourceVersion);
        synced.TrySetResult();
    }

    /// <summary>True where the server said anything before the watch ended.</summary>
    private async Task<bool> WatchAsync(CancellationToken token)
    {
        Interlocked.Increment(ref watches);
        TimeSpan serverTimeout = options.WatchTimeout * (1 + Random.Shared.NextDouble());
        await using WatchStream<T> stream =
            await reader.WatchAsync(version!, serverTimeout, options.RequestTimeout, options.IdleTimeout, time, token);
        long opened = time.GetTimestamp();
        bool saidAnything = false;
        while (await stream.NextAsync(token) is { } happened)
        {
            saidAnything = true;
            backoff.Reset();
            refusals = 0;
            Hear();
            Apply(happened);
            version = happened.ResourceVersion;
        }

        TimeSpan lasted = time.GetElapsedTime(opened);
        log.WatchEnded(type.Plural, lasted, version!);
        return saidAnything || lasted >= options.IdleTimeout || lasted >= options.WatchTimeout;
    }

    private void Apply(WatchEvent<T> happened)
    {
        switch (happened.Kind)
        {
            case WatchEventKind.Applied:
                Tell(cache.Apply(happened.Resource!));
                break;
            case WatchEventKind.Deleted:
                Tell(cache.Remove(happened.Resource?.Key ?? happened.Unreadable.Key));
                break;
            case WatchEventKind.Unreadable:
                Tell(happened.Unreadable);
                break;
            case WatchEventKind.Bookmark:
                break;
            default:
                throw new InvalidOperationException($"no such event: {happened.Kind}");
        }
    }

    /// <summary>Whether the next attempt goes on from the known version or lists anew.</summary>
    private void Judge(ApiException e)
    {
        if (e.Kind == ApiErrorKind.Expired)
        {
            log.Relisting(type.Plural, e.Message);
            version = null;
            return;
        }

        log.InformerFailed(type.Plural, e.Kind, e.Message);
        if (e.Kind != ApiErrorKind.Unreachable && ++refusals >= RefusalsBeforeRelist)
        {
            // For example a server restored from a backup: our version lies in its future, and waiting would last for ever.
            refusals = 0;
            version = null;
        }
    }

    private void Hear() => Volatile.Write(ref heard, time.GetTimestamp());

    private void Tell(IEnumerable<ResourceChange<T>> changes)
    {
        foreach (ResourceChange<T> change in changes)
        {
            Tell(change);
        }
    }

    private void Tell(ResourceChange<T> change)
    {
        try
        {
            Changed?.Invoke(change);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            log.HandlerFailed(e, type.Plural, change.Key);
        }
    }

    private void Tell(UnreadableObject unreadable)
    {
        log.UnreadableObject(type.Plural, unreadable.Key, unreadable.Reason);
        try
        {
            Unreadable?.Invoke(unreadable);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            log.HandlerFailed(e, type.Plural, unreadable.Key);
        }
    }

    private async Task WaitAsync(TimeSpan delay, CancellationToken token)
    {
        try
        {
            await Task.Delay(delay, time, token);
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // The loop ends by itself.
        }
    }
}
