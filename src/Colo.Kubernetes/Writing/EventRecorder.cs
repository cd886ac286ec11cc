using System.Threading.Channels;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>
/// Tells people, by core/v1 Events on the object concerned. What is said again raises the count of the Event that is there; what is said
/// too often is held back (and counted with what is sent next). <see cref="Record"/> neither waits nor throws: no reconcile fails for an
/// Event.
/// </summary>
public sealed class EventRecorder
{
    /// <summary>What a shutdown may wait for Events.</summary>
    private static readonly TimeSpan FlushTime = TimeSpan.FromSeconds(3);

    private readonly Channel<EventKey> queue;
    private readonly EventSeries series;
    private readonly EventSender sender;
    private readonly TimeProvider time;
    private readonly ILogger log;

    public EventRecorder(IKubernetes client, EventRecorderOptions options, TimeProvider time, ILogger log)
    {
        queue = Channel.CreateBounded<EventKey>(
            new BoundedChannelOptions(options.QueueLength) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        series = new EventSeries(options, time);
        sender = new EventSender(client, options, time);
        this.time = time;
        this.log = log;
    }

    public void Record(V1ObjectReference about, EventType type, string reason, string message)
    {
        if (string.IsNullOrEmpty(about?.Name) || string.IsNullOrEmpty(reason))
        {
            log.EventNotSent(reason ?? string.Empty, default, "it names no object or has no reason");
            return;
        }

        queue.Writer.TryWrite(EventKey.Of(about, type, reason, message ?? string.Empty, time.GetUtcNow()));
    }

    /// <summary>Sends what is recorded until cancelled, then once more what still waits, for a bounded time.</summary>
    public async Task RunAsync(CancellationToken token)
    {
        try
        {
            while (await queue.Reader.WaitToReadAsync(token))
            {
                await SendAllAsync(token);
            }
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            await FlushAsync();
        }
    }

    private async Task FlushAsync()
    {
        using CancellationTokenSource limit = new(FlushTime, time);
        try
        {
            await SendAllAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            // What is left is lost with the process.
        }
    }

    private async Task SendAllAsync(CancellationToken token)
    {
        while (!token.IsCancellationRequested && queue.Reader.TryRead(out EventKey? key))
        {
            SeenEvent seen = series.Count(key);
            if (!series.MaySend(key))
            {
                log.EventHeldBack(key.Reason, key.About);
                continue;
            }

            try
            {
                await sender.SendAsync(key, seen, token);
            }
            catch (Exception e) when (e is not (OutOfMemoryException or OperationCanceledException))
            {
                log.EventNotSent(key.Reason, key.About, e.Message);
            }
        }
    }
}
