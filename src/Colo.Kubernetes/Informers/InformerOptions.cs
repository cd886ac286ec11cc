namespace Colo.Kubernetes;

/// <summary>What an informer follows, and its patience.</summary>
public sealed record InformerOptions
{
    /// <summary>Null or empty: all namespaces.</summary>
    public string? Namespace { get; init; }

    public string? LabelSelector { get; init; }

    public string? FieldSelector { get; init; }

    /// <summary>Objects a page of a list: bounds what is held unparsed at once.</summary>
    public int PageSize { get; init; } = 500;

    /// <summary>The server is asked to end a watch after this long (up to twice, so that many watchers do not come back at once).</summary>
    public TimeSpan WatchTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>A watch that says nothing for so long, not even a bookmark (which come every minute), is taken for dead and opened
    /// again where it was.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>Bound of one page of a list, and of a watch until its first answer.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromMilliseconds(200);

    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(30);
}
