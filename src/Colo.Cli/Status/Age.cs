namespace Colo.Cli.Status;

/// <summary>Spans of time as kubectl shows them: the two largest units.</summary>
internal static class Age
{
    public static string Ago(TimeSpan elapsed) => elapsed < TimeSpan.FromSeconds(1) ? "now" : Span(elapsed) + " ago";

    public static string Span(TimeSpan span) => span switch
    {
        { TotalDays: >= 1 } => $"{(int)span.TotalDays}d{span.Hours}h",
        { TotalHours: >= 1 } => $"{(int)span.TotalHours}h{span.Minutes}m",
        { TotalMinutes: >= 1 } => $"{span.Minutes}m{span.Seconds}s",
        _ => $"{Math.Max(0, (int)span.TotalSeconds)}s",
    };
}
