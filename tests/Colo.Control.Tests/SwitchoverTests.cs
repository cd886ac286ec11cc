using Colo.Api;

namespace Colo.Control.Tests;

public sealed class SwitchoverTests
{
    private static readonly VolumeIntent ToB = new() { SwitchOverTo = "node-b" };

    [Fact]
    public void It_checkpoints_then_stops_the_primary_before_the_record_changes()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Primary(), Given.Secondary(), intent: ToB);

        plan.Switchover!.Step.ShouldBe(SwitchoverStep.HoldWrites);
        plan.Actions.ShouldBe([new VolumeAction.Checkpoint("node-a", 7, "switchover"), new VolumeAction.HoldWrites("node-a", 7)]);
    }

    [Fact]
    public void The_record_is_swapped_only_when_the_primary_has_stopped_serving()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Empty("node-a"), Given.Secondary() with { Connected = false }, intent: ToB);

        plan.Switchover!.Step.ShouldBe(SwitchoverStep.RecordSwap);
        plan.Actions[0].ShouldBeOfType<VolumeAction.ReplaceRecord>().Next.ShouldBe(new VolumeTruth(8, "node-b", "node-a", SecondaryState.Stale));
        plan.Actions[1].ShouldBe(new VolumeAction.Promote("node-b", 8, RecoveryPoint.LatestWrite));
    }

    [Fact]
    public void Given_up_before_the_swap_the_old_primary_serves_again()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Empty("node-a"), Given.Secondary() with { Connected = false });

        plan.Actions.ShouldBe([new VolumeAction.PreparePrimary("node-a", 7, MustExist: true)]);
    }

    [Fact]
    public void After_the_swap_it_is_completed_with_the_latest_write_whatever_the_spec_says_of_failover()
    {
        ReplicatedVolumeSpec spec = Given.Spec() with { Failover = new FailoverSpec { RecoveryPoint = RecoveryPoint.LastCheckpoint } };
        VolumeTruth swapped = new(8, "node-b", "node-a", SecondaryState.Stale);

        VolumePlan plan = Given.Plan(swapped, Given.Empty("node-a"), Given.Secondary(term: 7), spec, ToB);

        plan.Actions.ShouldBe([new VolumeAction.Promote("node-b", 8, RecoveryPoint.LatestWrite)]);
    }

    [Theory]
    [InlineData(SecondaryState.Stale)]
    [InlineData(SecondaryState.Syncing)]
    public void It_does_not_begin_towards_a_copy_that_is_not_in_sync(SecondaryState state)
    {
        VolumePlan plan = Given.Plan(Given.Truth(state), Given.Primary(), Given.Secondary(), intent: ToB);

        plan.Switchover!.Step.ShouldBe(SwitchoverStep.NotReady);
        plan.Actions.ShouldNotContain(a => a is VolumeAction.HoldWrites || a is VolumeAction.ReplaceRecord);
    }

    [Fact]
    public void It_is_done_when_the_target_serves_and_the_former_primary_is_taken_in_again()
    {
        VolumeTruth swapped = new(8, "node-b", "node-a", SecondaryState.Stale);
        ReplicaView serving = new("node-b", TimeSpan.Zero) { Role = ReplicaRole.Primary, Stage = ReplicaStage.Alone, Term = 8 };

        VolumePlan plan = Given.Plan(swapped, Given.Empty("node-a"), serving, intent: ToB);

        plan.Switchover!.Step.ShouldBe(SwitchoverStep.Done);
        plan.Actions[0].ShouldBe(new VolumeAction.PrepareSecondary("node-a", 8, "node-b"));
    }

    [Fact]
    public void A_primary_that_dies_in_the_middle_is_followed_by_the_same_target()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Silent("node-a", 10), Given.Secondary() with { Connected = false }, intent: ToB);

        plan.Situation.ShouldBe(VolumeSituation.TakingOver);
    }
}
