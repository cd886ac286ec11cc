using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Events;
using Colo.Operator.Volumes;
using k8s;
using RequestOutcome = Colo.Api.RequestOutcome;

namespace Colo.Operator.Requests;

/// <summary>
/// Answers people's requests: says what became of one in status.lastRequest and an Event, and takes its annotation away, in that order, so
/// that an operator that dies in between judges it once more rather than leave it unanswered.
/// </summary>
internal sealed class RequestDesk(IKubernetes api, VolumeNotices notices, TimeProvider time, ILogger<RequestDesk> log)
{
    /// <summary>What cannot be done at this moment may be in a few seconds: an operator that just started has not heard every agent yet.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>While a request waits.</summary>
    public static readonly TimeSpan LookAgain = TimeSpan.FromSeconds(1);

    private readonly ResourceClient<ReplicatedVolume> volumes = new(api, ResourceVolumes.Type, time);

    /// <summary>What a round settled, as far as a person asked for it and it is final.</summary>
    public IReadOnlyList<JudgedRequest> Judge(
        VolumeSession session, VolumeRequests requests, IReadOnlyList<SettledRequest> settled)
    {
        List<JudgedRequest> judged = [.. requests.Unreadable];
        foreach (SettledRequest one in settled)
        {
            (string name, string? value) = one.Verb switch
            {
                RequestVerb.Switchover => (RequestName.Switchover, requests.SwitchOverTo),
                RequestVerb.Failover => (RequestName.Failover, requests.Failover is { } f ? $"{f.OfTerm}/{f.ForceUid}" : null),
                RequestVerb.Checkpoint => (RequestName.Checkpoint, requests.Checkpoint),
                RequestVerb.Resync => (RequestName.Resync, requests.Resync),
                _ => throw new InvalidOperationException($"no request {one.Verb}"),
            };
            if (value is null || judged.Any(j => j.Name == name))
            {
                continue;
            }

            if (one.Done || HasWaited(session, name, value))
            {
                judged.Add(new(name, one.Done ? RequestOutcome.Fulfilled : RequestOutcome.Refused, one.Message));
            }
        }

        return judged;
    }

    public ReplicatedVolumeStatus Note(ReplicatedVolumeStatus status, IReadOnlyList<JudgedRequest> judged) =>
        judged is [.., var latest] ? status with { LastRequest = ToStatus(latest) } : status;

    /// <summary>After the status says so.</summary>
    public async Task CloseAsync(VolumeSession session, IReadOnlyList<JudgedRequest> judged, CancellationToken token)
    {
        foreach (JudgedRequest request in judged)
        {
            bool done = request.Outcome == RequestOutcome.Fulfilled;
            log.RequestSettled(session.Volume.Key.ToString(), request.Name, request.Outcome.ToString(), request.Message);
            notices.Tell(session.Volume, new(
                done ? NoticeReason.RequestFulfilled : NoticeReason.RequestRefused, $"{request.Name}: {request.Message}", IsWarning: !done));
            session.Waiting = null;
            session.Wrote(await RemoveAsync(session.Volume, RequestAnnotation.Of(request.Name), token));
        }
    }

    private bool HasWaited(VolumeSession session, string name, string value)
    {
        if (session.Waiting is not { } waiting || (waiting.Name, waiting.Value) != (name, value))
        {
            session.Waiting = (name, value, time.GetTimestamp());
            return false;
        }

        return time.GetElapsedTime(waiting.Since) >= Patience;
    }

    /// <summary>Only the annotation as it was read: another value is another request.</summary>
    private async Task<Resource<ReplicatedVolume>?> RemoveAsync(Resource<ReplicatedVolume> volume, IReadOnlyList<string> annotations, CancellationToken token)
    {
        JsonArray patch = [new JsonObject { ["op"] = "test", ["path"] = "/metadata/uid", ["value"] = volume.Uid }];
        foreach (string annotation in annotations)
        {
            if (volume.Metadata.Annotations is { } present && present.TryGetValue(annotation, out string? value))
            {
                string path = $"/metadata/annotations/{annotation.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)}";
                patch.Add(new JsonObject { ["op"] = "test", ["path"] = path, ["value"] = value });
                patch.Add(new JsonObject { ["op"] = "remove", ["path"] = path });
            }
        }

        try
        {
            return patch.Count > 1 ? await volumes.JsonPatchAsync(volume.Key, patch, null, token) : null;
        }
        catch (ApiException e) when (e.Kind is ApiErrorKind.Invalid or ApiErrorKind.NotFound or ApiErrorKind.Conflict)
        {
            // It was changed or taken away by somebody else: the next round reads what is there then.
            return null;
        }
    }

    private RequestStatus ToStatus(JudgedRequest request) => new()
    {
        Verb = request.Name,
        Outcome = request.Outcome,
        Message = request.Message,
        Time = time.GetUtcNow(),
    };
}
