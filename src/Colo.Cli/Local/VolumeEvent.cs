namespace Colo.Cli.Local;

/// <summary>Something that happened to a volume, for people.</summary>
public sealed record VolumeEvent(DateTimeOffset Time, string Kind, string Message);

/// <summary>The latest events of a volume, and the log they are written to. What was said a moment ago is not said again.</summary>
public sealed class VolumeEvents(string volume, TimeProvider time, TextWriter log)
{
    private const int Kept = 30;

    /// <summary>A step that is tried again and again alternates between a few events.</summary>
    private const int Remembered = 4;

    private readonly Queue<VolumeEvent> events = new();
    private readonly Queue<(string Kind, string Message)> recent = new();

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
            if (recent.Contains((kind, message)))
            {
                return;
            }

            recent.Enqueue((kind, message));
            if (recent.Count > Remembered)
            {
                recent.Dequeue();
            }

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
