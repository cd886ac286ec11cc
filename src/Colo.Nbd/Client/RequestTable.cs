namespace Colo.Nbd.Client;

/// <summary>
/// The fixed table of requests on the wire. A cookie is a place and how often it was used: a late or invented reply finds nothing.
/// </summary>
/// <remarks>Changed under the pipeline's lock; <see cref="Find"/> is the receive thread's, for requests that were sent before.</remarks>
internal sealed class RequestTable
{
    private readonly PendingRequest?[] requests;
    private readonly uint[] generations;
    private readonly int[] freeIndexes;
    private int freeCount;

    public RequestTable(int places)
    {
        requests = new PendingRequest?[places];
        generations = new uint[places];
        freeIndexes = new int[places];
        FreeAll();
    }

    public bool HasFree => freeCount > 0;

    public int Count => requests.Length - Volatile.Read(ref freeCount);

    public PendingRequest? Find(ulong cookie)
    {
        uint index = (uint)cookie;
        PendingRequest? request = index < (uint)requests.Length ? requests[index] : null;
        return request is not null && request.Cookie == cookie ? request : null;
    }

    /// <summary>Gives the request its place and cookie. Only where <see cref="HasFree"/>.</summary>
    public void Add(PendingRequest request)
    {
        int index = freeIndexes[--freeCount];
        request.Index = index;
        request.Generation = ++generations[index];
        requests[index] = request;
    }

    public void Remove(PendingRequest request)
    {
        requests[request.Index] = null;
        freeIndexes[freeCount++] = request.Index;
    }

    /// <summary>Takes out every request, in the order of the calls.</summary>
    public List<PendingRequest> TakeAll()
    {
        List<PendingRequest> all = [.. requests.OfType<PendingRequest>()];
        all.Sort(static (x, y) => x.Sequence.CompareTo(y.Sequence));
        Array.Clear(requests);
        FreeAll();
        return all;
    }

    /// <summary>When the oldest was sent; null where there is none.</summary>
    public long? OldestTimestamp()
    {
        long oldest = long.MaxValue;
        foreach (PendingRequest? request in requests)
        {
            oldest = request is null ? oldest : Math.Min(oldest, request.SentTimestamp);
        }

        return oldest == long.MaxValue ? null : oldest;
    }

    private void FreeAll()
    {
        for (int i = 0; i < freeIndexes.Length; i++)
        {
            // The lowest on top: a shallow queue stays in a few cache lines.
            freeIndexes[i] = freeIndexes.Length - 1 - i;
        }

        freeCount = freeIndexes.Length;
    }
}
