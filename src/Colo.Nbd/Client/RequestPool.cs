using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>Requests to be used again. One comes back when its caller has taken the answer.</summary>
internal sealed class RequestPool
{
    /// <summary>More than any sane number in use at a time; the rest is for the garbage collector.</summary>
    private const int MaxPooled = 8192;

    private readonly Lock gate = new();
    private readonly Stack<PendingRequest> pool = new();

    public PendingRequest Rent(NbdCommand command, NbdCommandFlags flags, long offset, long length)
    {
        PendingRequest? request;
        lock (gate)
        {
            pool.TryPop(out request);
        }

        request ??= new PendingRequest(this);
        request.Start(command, flags, offset, length);
        return request;
    }

    public void Return(PendingRequest request)
    {
        lock (gate)
        {
            if (pool.Count < MaxPooled)
            {
                pool.Push(request);
            }
        }
    }
}
