using Colo.Api;

namespace Colo.Control.Tests;

/// <summary>Inputs of a decision, in few words.</summary>
internal static class Given
{
    public const string Uid = "0b6ee35e-2bd6-4cb6-a9e5-000000000001";
    public static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(3);

    public static ReplicatedVolumeSpec Spec(FailoverMode policy = FailoverMode.Automatic) => new()
    {
        Size = ByteQuantity.FromGibibytes(1),
        Failover = new FailoverSpec { Policy = policy, HeartbeatTimeout = new Duration(Heartbeat) },
    };

    public static VolumeTruth Truth(SecondaryState state = SecondaryState.InSync, long term = 7) => new(term, "node-a", "node-b", state);

    public static ReplicaView Primary(long term = 7, ReplicaStage stage = ReplicaStage.Running) =>
        new("node-a", TimeSpan.Zero) { Role = ReplicaRole.Primary, Stage = stage, Term = term, Connected = true, Checkpoints = 1 };

    public static ReplicaView Secondary(long term = 7, ReplicaStage stage = ReplicaStage.Running) =>
        new("node-b", TimeSpan.Zero) { Role = ReplicaRole.Secondary, Stage = stage, Term = term, Connected = true };

    public static ReplicaView Silent(string node, double seconds) => new(node, TimeSpan.FromSeconds(seconds));

    public static ReplicaView Empty(string node) => new(node, TimeSpan.Zero);

    public static VolumeInput Input(VolumeTruth? truth, ReplicaView a, ReplicaView b, ReplicatedVolumeSpec? spec = null, VolumeIntent? intent = null) =>
        new(Uid, spec ?? Spec(), truth, [a, b], intent ?? VolumeIntent.None);

    public static VolumePlan Plan(VolumeTruth? truth, ReplicaView a, ReplicaView b, ReplicatedVolumeSpec? spec = null, VolumeIntent? intent = null) =>
        VolumeReconciler.Plan(Input(truth, a, b, spec, intent));
}
