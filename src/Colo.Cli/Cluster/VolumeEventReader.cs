using Colo.Api;
using Colo.Kubernetes;
using k8s.Models;

namespace Colo.Cli.Cluster;

/// <summary>An Event about a volume. One that happened several times is one, with a count.</summary>
internal sealed record ClusterEvent(
    DateTimeOffset Time, DateTimeOffset First, int Count, string Type, string Namespace, string Volume, string VolumeUid, string Reason, string Message);

/// <summary>Reads the Events about volumes, in the order of time.</summary>
internal static class VolumeEventReader
{
    /// <param name="namespace">Null: all of them.</param>
    /// <param name="name">Null: of all volumes.</param>
    /// <exception cref="CommandException">they cannot be read.</exception>
    public static Task<IReadOnlyList<ClusterEvent>> ReadAsync(ClusterConnection cluster, string? @namespace, string? name, CancellationToken token) =>
        ClusterFault.ExplainedAsync<IReadOnlyList<ClusterEvent>>(cluster, async () =>
        {
            ResourceClient<Corev1Event> events = new(cluster.Client, ResourceTypes.Events) { RequestTimeout = cluster.Timeout };
            string selector = $"involvedObject.kind={ReplicatedVolume.KindName}" + (name is null ? "" : $",involvedObject.name={name}");
            ResourceList<Corev1Event> list = await events.ListAsync(new ListOptions { Namespace = @namespace, FieldSelector = selector }, token);
            return [.. list.Items.Select(r => Read(r.Value)).OrderBy(e => e.Time)];
        });

    /// <summary>The three generations of Events tell the time in three places.</summary>
    private static ClusterEvent Read(Corev1Event happened)
    {
        DateTimeOffset made = At(happened.Metadata.CreationTimestamp) ?? DateTimeOffset.UnixEpoch;
        DateTimeOffset first = At(happened.FirstTimestamp) ?? At(happened.EventTime) ?? made;
        DateTimeOffset last = At(happened.Series?.LastObservedTime) ?? At(happened.LastTimestamp) ?? first;
        return new ClusterEvent(
            last,
            first,
            happened.Series?.Count ?? happened.Count ?? 1,
            happened.Type ?? "",
            happened.InvolvedObject?.NamespaceProperty ?? "",
            happened.InvolvedObject?.Name ?? "",
            happened.InvolvedObject?.Uid ?? "",
            happened.Reason ?? "",
            (happened.Message ?? "").ReplaceLineEndings(" "));
    }

    private static DateTimeOffset? At(DateTime? time) => time is { } at ? new DateTimeOffset(at.ToUniversalTime()) : null;
}
