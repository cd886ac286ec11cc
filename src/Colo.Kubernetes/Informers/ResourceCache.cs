namespace Colo.Kubernetes;

/// <summary>The objects of an informer. One writer, any readers; each method is atomic.</summary>
internal sealed class ResourceCache<T>
{
    private readonly Lock guard = new();
    private readonly Dictionary<ObjectKey, Resource<T>> objects = [];
    private Resource<T>[]? snapshot = [];

    public Resource<T>? Get(ObjectKey key)
    {
        lock (guard)
        {
            return objects.GetValueOrDefault(key);
        }
    }

    public IReadOnlyList<Resource<T>> List()
    {
        lock (guard)
        {
            return snapshot ??= [.. objects.Values];
        }
    }

    /// <summary>What that state changes: nothing where it is known already; a deletion first where another object had the name.</summary>
    public IEnumerable<ResourceChange<T>> Apply(Resource<T> latest)
    {
        Resource<T>? old = Get(latest.Key);
        if (old is not null && old.Uid == latest.Uid && old.ResourceVersion == latest.ResourceVersion)
        {
            yield break;
        }

        if (old is not null && old.Uid != latest.Uid)
        {
            Put(latest.Key, null);
            yield return new ResourceChange<T>(old, null);
            old = null;
        }

        Put(latest.Key, latest);
        yield return new ResourceChange<T>(old, latest);
    }

    public IEnumerable<ResourceChange<T>> Remove(ObjectKey key)
    {
        if (Get(key) is { } old)
        {
            Put(key, null);
            yield return new ResourceChange<T>(old, null);
        }
    }

    /// <summary>Becomes that list: what it lacks is deleted, however long ago that happened.</summary>
    public IEnumerable<ResourceChange<T>> Replace(ResourceList<T> list)
    {
        HashSet<ObjectKey> present = [.. list.Items.Select(i => i.Key), .. list.Unreadable.Select(u => u.Key)];
        IEnumerable<ObjectKey> gone = [.. List().Select(o => o.Key).Where(k => !present.Contains(k))];
        return gone.SelectMany(Remove).Concat(list.Items.SelectMany(Apply));
    }

    private void Put(ObjectKey key, Resource<T>? value)
    {
        lock (guard)
        {
            snapshot = null;
            if (value is null)
            {
                objects.Remove(key);
            }
            else
            {
                objects[key] = value;
            }
        }
    }
}
