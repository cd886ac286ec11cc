namespace Colo.Cli.Local;

/// <summary>Something that happened to a volume, for people.</summary>
public sealed record VolumeEvent(DateTimeOffset Time, string Kind, string Message);

/// <summary>The latest events of a volume, and the log they are written to. Repetitions in a row are one event.</summary>
public sealed class VolumeEvents(string volume, TimeProvider time, TextWriter log)
{
    private const int Kept = 30;
    private readonly Queue<VolumeEvent> events = new();
    private (string Kind, string Message) last;

    public IReadOnlyList<VolumeEvent> Latest
    {
        get
        {
            lock (events)
            {
                return [.. events];
            }
        }
    }

    public void Add(string kind, string message)
    {
        lock (events)
        {
            if (last == (kind, message))
            {
                return;
            }

            last = (kind, message);
            events.Enqueue(new VolumeEvent(time.GetUtcNow(), kind, message));
            while (events.Count > Kept)
            {
                events.Dequeue();
            }
        }

        log.WriteLine($"{time.GetUtcNow():O} {volume} {kind}: {message}");
        log.Flush();
    }
}
