using Colo.Blocks;

namespace Colo.Linux;

/// <summary>
/// The slow path: threads that wait for a disk so that no connection has to. At most <c>maxThreads</c>, started when there is work
/// for one more, gone after a while without any. Each file has its own, so that a hung disk holds up only itself.
/// </summary>
internal sealed class IoWorkers(string name, int maxThreads)
{
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(10);

    private readonly object gate = new();
    private readonly TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private IoRequest? head;
    private IoRequest? tail;
    private int queued;
    private int threads;
    private int idle;
    private bool stopping;

    /// <summary>Requests that went this way since the start.</summary>
    public long Submitted { get; private set; }

    /// <summary>Has a worker run the request; a stopped pool completes it with Shutdown.</summary>
    public void Submit(IoRequest request)
    {
        lock (gate)
        {
            if (!stopping)
            {
                Append(request);
                return;
            }
        }

        request.File.Abandon(request);
    }

    /// <summary>Completes what no worker has begun with Shutdown; ends when the last worker has.</summary>
    public Task StopAsync()
    {
        IoRequest? abandoned;
        lock (gate)
        {
            stopping = true;
            abandoned = head;
            head = tail = null;
            queued = 0;
            Monitor.PulseAll(gate);
            if (threads == 0)
            {
                stopped.TrySetResult();
            }
        }

        while (abandoned is not null)
        {
            IoRequest request = abandoned;
            abandoned = request.Next;
            request.Next = null;
            request.File.Abandon(request);
        }

        return stopped.Task;
    }

    private void Append(IoRequest request)
    {
        Submitted++;
        request.Next = null;
        if (tail is null)
        {
            head = request;
        }
        else
        {
            tail.Next = request;
        }

        tail = request;
        queued++;

        // A thread that was woken counts as idle until it has taken its request, which counts as queued until then.
        if (queued > idle && threads < maxThreads)
        {
            threads++;
            new Thread(Work) { IsBackground = true, Name = name }.Start();
        }
        else
        {
            Monitor.Pulse(gate);
        }
    }

    private void Work()
    {
        using BounceBuffer bounce = new();
        while (Take() is { } request)
        {
            // Replies of one completion leave together; a group of flushes has many.
            using (IoBatch.Begin())
            {
                request.File.Run(request, bounce);
            }
        }
    }

    private IoRequest? Take()
    {
        lock (gate)
        {
            while (head is null)
            {
                if (stopping || !WaitForWork())
                {
                    EndThread();
                    return null;
                }
            }

            IoRequest request = head;
            queued--;
            head = request.Next;
            tail = head is null ? null : tail;
            request.Next = null;
            return request;
        }
    }

    /// <summary>False where nothing came for long.</summary>
    private bool WaitForWork()
    {
        idle++;
        bool pulsed = Monitor.Wait(gate, IdleTime);
        idle--;
        return pulsed || head is not null || stopping;
    }

    private void EndThread()
    {
        threads--;
        if (stopping && threads == 0)
        {
            stopped.TrySetResult();
        }
    }
}
