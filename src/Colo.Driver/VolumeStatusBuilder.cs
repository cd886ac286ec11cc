using Colo.AgentApi;
using Colo.Api;
using Colo.Control;
using ApiRole = Colo.Api.ReplicaRole;

namespace Colo.Driver;

/// <summary>Puts the record, the decision and the agents' words together into the status of a ReplicatedVolume.</summary>
public static class VolumeStatusBuilder
{
    /// <param name="guestSocket">The path that a guest is given in place of the agent's own; null: the agent's own.</param>
    public static ReplicatedVolumeStatus Build(VolumePlan plan, VolumeInput input, VolumeObservation seen, string? guestSocket)
    {
        VolumeTruth? truth = input.Truth;
        VolumeStatus? primary = truth is null ? null : seen.StatusOf(truth.Primary);
        VolumeStatus? secondary = truth is null ? null : seen.StatusOf(truth.Secondary);
        return new ReplicatedVolumeStatus
        {
            Phase = plan.Phase,
            Message = plan.Message,
            Term = truth?.Term ?? 0,
            CurrentPrimary = truth?.Primary ?? "",
            TargetPrimary = plan.TargetPrimary ?? truth?.Primary ?? "",
            CurrentSecondary = truth?.Secondary ?? "",
            SecondaryState = truth?.SecondaryState ?? Api.SecondaryState.None,
            Replicas = [.. input.Nodes.Select(view => Replica(view, truth, seen))],
            Endpoint = Endpoint(primary, secondary, guestSocket),
            Checkpoint = primary is null ? null : Checkpoint(primary, secondary),
            Buffer = secondary is { BufferLimitBytes: > 0 }
                ? new BufferStatus { Used = new(secondary.BufferedBytes), Limit = new(secondary.BufferLimitBytes) }
                : null,
            Resync = primary?.Resync is { } progress ? Resync(progress) : null,
            Errors = [.. seen.Sights.Values.OrderBy(s => s.Node, StringComparer.Ordinal).Where(s => s.Volume is not null).SelectMany(s => Errors(s.Node, s.Volume!))],
            Conditions = VolumeConditions.Of(plan, input),
            ObservedPrimaryNode = truth is null ? null : ObservedPrimaryNode(input, truth),
        };
    }

    /// <summary>The path behind <c>?socket=</c>, and the export, of an agent's guest URI; null where it serves none.</summary>
    public static (string Export, string Socket)? GuestOf(VolumeStatus? status)
    {
        const string prefix = "nbd+unix:///";
        string uri = status?.Endpoints?.GuestUnix ?? "";
        int query = uri.IndexOf("?socket=", StringComparison.Ordinal);
        return uri.StartsWith(prefix, StringComparison.Ordinal) && query > 0
            ? (uri[prefix.Length..query], Uri.UnescapeDataString(uri[(query + "?socket=".Length)..]))
            : null;
    }

    /// <summary>A changed preference stays to be complied with until its node is primary, or nobody is preferred any more.</summary>
    private static string ObservedPrimaryNode(VolumeInput input, VolumeTruth truth)
    {
        string wanted = input.Spec.Placement.PrimaryNode;
        return input.PrimaryNodeBefore is not { } before || wanted.Length == 0 || wanted == truth.Primary ? wanted : before;
    }

    private static ReplicaStatus Replica(ReplicaView view, VolumeTruth? truth, VolumeObservation seen)
    {
        VolumeStatus? status = seen.StatusOf(view.Node);
        bool isPrimary = truth?.Primary == view.Node;
        return new ReplicaStatus
        {
            Node = view.Node,
            Role = view.Role != ApiRole.None ? view.Role : isPrimary ? ApiRole.Primary : truth?.Secondary == view.Node ? ApiRole.Secondary : ApiRole.None,
            State = view.Answers ? view.Stage.ToString() : "Unreachable",
            Online = view.Answers,
            InSync = isPrimary || (truth?.Secondary == view.Node && truth.SecondaryState == Api.SecondaryState.InSync),
            Term = view.Term,
            GenerationID = status?.Generation is { Length: > 0 } generation ? generation : null,
            LastSeen = seen.Sights.GetValueOrDefault(view.Node)?.LastSeen,
            Error = view.Error,
        };
    }

    private static VolumeEndpoint? Endpoint(VolumeStatus? primary, VolumeStatus? secondary, string? guestSocket)
    {
        (string Export, string Socket)? guest = GuestOf(primary);
        string? view = secondary?.Endpoints?.VmView is { Length: > 0 } uri ? uri : null;
        return guest is null && view is null
            ? null
            : new VolumeEndpoint
            {
                Unix = guest is null ? null : guestSocket ?? guest.Value.Socket,
                Uri = guest is null ? null : $"nbd+unix:///{guest.Value.Export}?socket={guestSocket ?? guest.Value.Socket}",
                Tcp = primary?.Endpoints?.GuestTcp is { Length: > 0 } tcp ? tcp : null,
                SecondaryUri = view,
            };
    }

    private static CheckpointStatus Checkpoint(VolumeStatus primary, VolumeStatus? secondary) => new()
    {
        Sequence = primary.CheckpointSequence,
        LastTime = primary.LastCheckpoint?.ToDateTimeOffset(),
        LastPause = primary.LastPause is { } pause ? new Duration(pause.ToTimeSpan()) : null,
        BufferedBytes = new(Math.Max(primary.BufferedBytes, secondary?.BufferedBytes ?? 0)),
    };

    private static ResyncStatus Resync(ResyncProgress progress)
    {
        long remaining = Math.Max(0, progress.TotalBytes - progress.DoneBytes);
        return new ResyncStatus
        {
            Percent = progress.TotalBytes == 0 ? 100 : Math.Round(100.0 * progress.DoneBytes / progress.TotalBytes, 1),
            BytesRemaining = new(remaining),
            EstimatedFinish = progress.BytesPerSecond > 0 ? DateTimeOffset.UtcNow.AddSeconds((double)remaining / progress.BytesPerSecond) : null,
        };
    }

    private static IEnumerable<VolumeError> Errors(string node, VolumeStatus status)
    {
        if (status.Error is { } error)
        {
            yield return new VolumeError { Node = node, Number = error.Number, Name = error.Name, Message = error.Message };
        }

        if (status.Suspended)
        {
            yield return new VolumeError { Node = node, Name = "Suspended", Message = "acknowledgements of writes are held: " + status.SuspendedReason };
        }

        if (status.Fault.Length > 0)
        {
            yield return new VolumeError { Node = node, Name = status.State.ToString(), Message = status.Fault };
        }
    }
}
