using System.Globalization;
using Colo.Api;
using Colo.Control;
using RequestOutcome = Colo.Api.RequestOutcome;

namespace Colo.Operator.Requests;

/// <summary>The annotations by which a person asks for something; removed by the operator when the request is settled.</summary>
public static class RequestAnnotation
{
    /// <summary>The node that shall become primary without loss.</summary>
    public const string Switchover = "colo.dev/switchover";

    /// <summary>Any token: a checkpoint now.</summary>
    public const string Checkpoint = "colo.dev/checkpoint";

    /// <summary>The term that the person saw.</summary>
    public const string Failover = "colo.dev/failover";

    /// <summary>Beside a failover: the volume's UID, which accepts that writes are lost.</summary>
    public const string AcceptDataLoss = "colo.dev/accept-data-loss";

    /// <summary>The node whose copy shall be made anew.</summary>
    public const string Resync = "colo.dev/resync";

    /// <summary>The annotations that go when this request is settled.</summary>
    public static IReadOnlyList<string> Of(string name) => name switch
    {
        RequestName.Switchover => [Switchover],
        RequestName.Checkpoint => [Checkpoint],
        RequestName.Failover => [Failover, AcceptDataLoss],
        RequestName.Resync => [Resync],
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such request"),
    };
}

/// <summary>As status.lastRequest and the people's tool spell them.</summary>
public static class RequestName
{
    public const string Switchover = "switchover";
    public const string Checkpoint = "checkpoint";
    public const string Failover = "failover";
    public const string Resync = "resync";
}

/// <summary>A request that was judged: its annotation goes, status.lastRequest and an Event tell what became of it.</summary>
public sealed record JudgedRequest(string Name, RequestOutcome Outcome, string Message);

/// <summary>What a person asks for by annotations, read anew in each round: nothing of it is kept anywhere else.</summary>
public sealed record VolumeRequests
{
    public string? SwitchOverTo { get; private init; }

    public string? Checkpoint { get; private init; }

    public FailoverRequest? Failover { get; private init; }

    public string? Resync { get; private init; }

    /// <summary>What cannot be read as a request: refused at once.</summary>
    public IReadOnlyList<JudgedRequest> Unreadable { get; private init; } = [];

    public static VolumeRequests Read(IReadOnlyDictionary<string, string>? annotations)
    {
        string? Value(string key) => annotations is not null && annotations.TryGetValue(key, out string? value) ? value.Trim() : null;

        List<JudgedRequest> unreadable = [];
        string? failover = Value(RequestAnnotation.Failover);
        FailoverRequest? request = failover is null ? null : ReadFailover(failover, Value(RequestAnnotation.AcceptDataLoss), unreadable);
        return new VolumeRequests
        {
            SwitchOverTo = Node(Value(RequestAnnotation.Switchover), RequestName.Switchover, unreadable),
            Checkpoint = Value(RequestAnnotation.Checkpoint),
            Failover = request,
            Resync = Node(Value(RequestAnnotation.Resync), RequestName.Resync, unreadable),
            Unreadable = unreadable,
        };
    }

    public VolumeIntent ToIntent(bool isBeingDeleted) => new()
    {
        SwitchOverTo = SwitchOverTo,
        Failover = Failover,
        Checkpoint = Checkpoint is not null,
        Resync = Resync,
        Delete = isBeingDeleted,
    };

    private static FailoverRequest? ReadFailover(string term, string? acceptedUid, List<JudgedRequest> unreadable)
    {
        if (long.TryParse(term, NumberStyles.None, CultureInfo.InvariantCulture, out long ofTerm) && ofTerm > 0)
        {
            return new FailoverRequest(ofTerm, null, acceptedUid, acceptedUid is not null);
        }

        unreadable.Add(new(RequestName.Failover, RequestOutcome.Refused, $"{RequestAnnotation.Failover}: the term that you saw (status.term), not '{term}'"));
        return null;
    }

    private static string? Node(string? value, string name, List<JudgedRequest> unreadable)
    {
        if (value is { Length: 0 })
        {
            unreadable.Add(new(name, RequestOutcome.Refused, $"{RequestAnnotation.Of(name)[0]}: the name of a node, not ''"));
            return null;
        }

        return value;
    }
}
