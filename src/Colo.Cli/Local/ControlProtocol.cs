using System.Text.Json;
using System.Text.Json.Serialization;
using Colo.Api;
using Colo.Control;

namespace Colo.Cli.Local;

/// <summary>One line of JSON to the control loop over its unix socket; one line comes back.</summary>
/// <param name="Verb">status, checkpoint, failover, switchover or reload.</param>
/// <param name="Volume">Its name; null: all (status) or the only one.</param>
public sealed record ControlRequest(string Verb, string? Volume = null)
{
    /// <summary>switchover: the node; null: the present secondary.</summary>
    public string? To { get; init; }

    /// <summary>failover; its term is filled in by the loop.</summary>
    public FailoverRequest? Failover { get; init; }
}

/// <param name="Done">False: it failed or was refused, and <paramref name="Message"/> says why.</param>
public sealed record ControlReply(bool Done, string Message)
{
    public IReadOnlyList<VolumeReport> Volumes { get; init; } = [];
}

/// <summary>A volume with its status, and what happened to it lately.</summary>
public sealed record VolumeReport(ReplicatedVolume Volume, IReadOnlyList<VolumeEvent> Events);

internal static class ControlJson
{
    /// <summary>A status of many volumes; whatever is longer is no request of ours.</summary>
    public const int MaxLineChars = 16 << 20;

    public static JsonSerializerOptions Line { get; } = new(VolumeDocument.JsonOptions)
    {
        WriteIndented = false,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    };
}
