using Colo.Api;
using Colo.Operator.Status;

namespace Colo.Operator.Tests;

public sealed class StatusEssenceTests
{
    private static readonly ReplicatedVolumeStatus Made = new()
    {
        Phase = VolumePhase.Degraded,
        Message = "node-b has been silent for 1.0 s",
        Term = 3,
        Replicas = [new ReplicaStatus { Node = "node-b", State = "Unreachable", LastSeen = DateTimeOffset.UnixEpoch }],
        Conditions = [new VolumeCondition { Type = ConditionType.Ready, Status = "True", Reason = "PrimaryServes", Message = "node-a serves" }],
        Checkpoint = new CheckpointStatus { Sequence = 4 },
    };

    [Fact]
    public void A_status_that_was_read_back_is_no_news()
    {
        ReplicatedVolumeStatus read = Made with
        {
            RecordRevision = 9,
            ObservedGeneration = 2,
            Conditions = [.. Made.Conditions.Select(c => c with { LastTransitionTime = DateTimeOffset.UnixEpoch, ObservedGeneration = 2 })],
        };
        read = VolumeDocument.FromJson<ReplicatedVolumeStatus>(VolumeDocument.ToJson(read));
        StatusEssence.Differs(read, Made).ShouldBeFalse();
        StatusEssence.DiffersAtAll(read, Made).ShouldBeFalse();
    }

    [Fact]
    public void Counters_and_sentences_are_no_news_and_a_phase_or_a_reason_is()
    {
        ReplicatedVolumeStatus later = Made with { Message = "node-b has been silent for 2.0 s", Checkpoint = new CheckpointStatus { Sequence = 5 } };
        StatusEssence.Differs(Made, later).ShouldBeFalse();
        StatusEssence.DiffersAtAll(Made, later).ShouldBeTrue();
        StatusEssence.Differs(Made, Made with { Phase = VolumePhase.Protected }).ShouldBeTrue();
        StatusEssence.Differs(Made, Made with { Conditions = [Made.Conditions[0] with { Reason = "Other" }] }).ShouldBeTrue();
    }
}
