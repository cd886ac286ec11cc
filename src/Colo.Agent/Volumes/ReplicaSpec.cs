using Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>
/// What a replica is to be, parsed from Prepare and kept in the state file: once one of these exists it can be trusted. Its role and
/// term are those of the last Prepare or promotion.
/// </summary>
public sealed record ReplicaSpec(
    string Uid,
    long Term,
    Role Role,
    string Name,
    string Namespace,
    long SizeBytes,
    string Pool,
    BufferSpec Buffer,
    RecoveryPoint RecoveryPoint,
    PeerSpec? Peer,
    string ArbiterDirectory,
    long ResyncBytesPerSecond,
    string PlainExportName,
    bool GuestTcp,
    bool ArbiterKubernetes = false)
{
    /// <summary>The part of a status that does not change by itself.</summary>
    public void Fill(VolumeStatus status)
    {
        status.Name = Name;
        status.Namespace = Namespace;
        status.Role = Role;
        status.Term = Term;
        status.SizeBytes = SizeBytes;
        status.BufferLimitBytes = Buffer.LimitBytes;
        status.RecoveryPoint = RecoveryPoint;
        status.Peer = Peer is null
            ? null
            : new()
            {
                Node = Peer.Node,
                ReplicationAddress = Peer.ReplicationAddress,
                ExportName = Peer.ExportName,
                QmpAddress = Peer.QmpAddress,
            };
    }
}

public sealed record BufferSpec(BufferMedium Medium, long LimitBytes, BufferFullPolicy OnFull);

/// <param name="Node">As the arbiter's record spells it; empty for a peer that is no agent.</param>
/// <param name="ReplicationAddress">host:port or unix:/path.</param>
/// <param name="ExportName">Empty: uid@term.</param>
/// <param name="QmpAddress">Empty: the peer is an agent.</param>
public sealed record PeerSpec(string Node, string ReplicationAddress, string ExportName, string QmpAddress);
