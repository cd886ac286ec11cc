using Colo.AgentApi;

namespace Colo.Scale;

/// <summary>One replica of a simulated node: the states that a control plane sees, without a disk. Under its node's lock.</summary>
internal sealed class SimulatedReplica(PrepareRequest prepared)
{
    public string Uid => prepared.Volume.Uid;

    public string Name => prepared.Name;

    public string Namespace => prepared.Namespace;

    public Role Role { get; private set; } = prepared.Role;

    public long Term { get; private set; } = prepared.Volume.Term;

    public ReplicaState State { get; set; } = ReplicaState.Prepared;

    public SecondaryState SecondaryState { get; set; } = SecondaryState.Syncing;

    public bool Connected { get; set; }

    public long Checkpoints { get; set; }

    public string PeerNode { get; set; } = prepared.Peer?.Node ?? "";

    public void PrepareAgain(PrepareRequest request)
    {
        if (request.Volume.Term > Term || request.Role != Role)
        {
            (Role, Term, State, Connected, Checkpoints) = (request.Role, request.Volume.Term, ReplicaState.Prepared, false, 0);
        }

        PeerNode = request.Peer?.Node ?? PeerNode;
    }

    public void Promote(long term) =>
        (Role, Term, State, SecondaryState, Connected, Checkpoints) =
        (Role.Primary, term, ReplicaState.Alone, SecondaryState.Stale, false, 0);

    public VolumeStatus Status(string node, string address) => new()
    {
        Uid = Uid,
        Name = Name,
        Namespace = Namespace,
        Node = node,
        Role = Role,
        State = State,
        Term = Term,
        SecondaryState = Role == Role.Primary ? SecondaryState : SecondaryState.Unspecified,
        Connected = Connected,
        CheckpointSequence = Checkpoints,
        BufferLimitBytes = prepared.Buffer?.LimitBytes ?? 0,
        SizeBytes = prepared.SizeBytes,
        Pool = prepared.Pool,
        RecoveryPoint = prepared.RecoveryPoint,
        Endpoints = new Endpoints
        {
            GuestUnix = Role == Role.Primary ? $"nbd+unix:///{Uid}?socket=/run/colo/sockets/{Uid}.sock" : "",
            Replication = Role == Role.Secondary ? address : "",
            ReplicationExport = Role == Role.Secondary ? $"{Uid}@{Term}" : "",
        },
    };
}
