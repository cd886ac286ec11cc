using System.Globalization;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;

namespace Colo.Kubernetes;

/// <summary>Makes an Event, or raises the count of the one that is there.</summary>
internal sealed class EventSender(IKubernetes client, EventRecorderOptions options, TimeProvider time)
{
    private const int MaxAttempts = 4;

    /// <summary>A name has 253 characters; 1 + 16 + 1 + 8 are ours.</summary>
    private const int MaxObjectName = 253 - 26;

    private readonly ResourceClient<Corev1Event> events = new(client, ResourceTypes.Events, time);

    public async Task SendAsync(EventKey key, SeenEvent seen, CancellationToken token)
    {
        Backoff backoff = new(TimeSpan.FromMilliseconds(200), TimeSpan.FromSeconds(5));
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                await SendOnceAsync(key, seen, token);
                return;
            }
            catch (ApiException e) when (e.IsTransient && attempt < MaxAttempts)
            {
                await Task.Delay(backoff.Next(e.RetryAfter), time, token);
            }
        }
    }

    private async Task SendOnceAsync(EventKey key, SeenEvent seen, CancellationToken token)
    {
        if (seen.EventName is { } known && await RaiseAsync(key, seen, known, token))
        {
            return;
        }

        string name = NewName(key);
        await events.CreateAsync(key.Namespace, Document(key, seen, name), token);
        seen.EventName = name;
    }

    /// <summary>False where the Event is gone: the API server keeps them for an hour.</summary>
    private async Task<bool> RaiseAsync(EventKey key, SeenEvent seen, string name, CancellationToken token)
    {
        JsonObject patch = new() { ["count"] = seen.Count, ["lastTimestamp"] = Time(key.At) };
        try
        {
            await events.MergePatchAsync(new ObjectKey(key.Namespace, name), patch, null, token);
            return true;
        }
        catch (ApiException e) when (e.Kind == ApiErrorKind.NotFound)
        {
            return false;
        }
    }

    private JsonObject Document(EventKey key, SeenEvent seen, string name)
    {
        JsonObject involved = new() { ["kind"] = key.Involved.Kind, ["apiVersion"] = key.Involved.ApiVersion, ["name"] = key.Involved.Name };
        Set(involved, "namespace", key.Involved.NamespaceProperty);
        Set(involved, "uid", key.Involved.Uid);
        Set(involved, "resourceVersion", key.Involved.ResourceVersion);
        Set(involved, "fieldPath", key.Involved.FieldPath);
        JsonObject source = new() { ["component"] = options.Component };
        Set(source, "host", options.Instance);
        return new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Event",
            ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = key.Namespace },
            ["involvedObject"] = involved,
            ["type"] = key.Type.ToString(),
            ["reason"] = key.Reason,
            ["message"] = key.Message,
            ["count"] = seen.Count,
            ["firstTimestamp"] = Time(seen.First),
            ["lastTimestamp"] = Time(key.At),
            ["source"] = source,
            ["reportingComponent"] = options.Component,
            ["reportingInstance"] = options.Instance,
        };
    }

    private string NewName(EventKey key)
    {
        string about = key.Involved.Name.Length > MaxObjectName ? key.Involved.Name[..MaxObjectName].TrimEnd('.', '-') : key.Involved.Name;
        return string.Create(CultureInfo.InvariantCulture, $"{about}.{time.GetUtcNow().UtcTicks:x16}{Random.Shared.Next():x8}");
    }

    private static void Set(JsonObject target, string name, string? value)
    {
        if (!string.IsNullOrEmpty(value))
        {
            target[name] = value;
        }
    }

    private static string Time(DateTimeOffset at) => at.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
