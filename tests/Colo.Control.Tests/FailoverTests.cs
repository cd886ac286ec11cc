using Colo.Api;

namespace Colo.Control.Tests;

public sealed class FailoverTests
{
    private static readonly ReplicaView Survivor = Given.Secondary() with { Connected = false };

    [Fact]
    public void A_primary_silent_for_less_than_the_timeout_is_left_alone()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Silent("node-a", 2.9), Survivor);

        plan.Situation.ShouldBe(VolumeSituation.PrimarySuspect);
        plan.Actions.ShouldBeEmpty();
        plan.RecheckAfter.ShouldBeLessThanOrEqualTo(TimeSpan.FromSeconds(0.1));
    }

    [Fact]
    public void A_primary_silent_for_the_full_time_is_followed_by_an_in_sync_secondary()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Silent("node-a", 3), Survivor);

        plan.Actions[0].ShouldBeOfType<VolumeAction.ReplaceRecord>().Next.ShouldBe(new VolumeTruth(8, "node-b", "node-a", SecondaryState.Stale));
        plan.Actions[1].ShouldBe(new VolumeAction.Promote("node-b", 8, RecoveryPoint.LatestWrite));
        plan.Phase.ShouldBe(VolumePhase.FailingOver);
    }

    [Fact]
    public void A_silent_control_path_with_a_living_data_path_gets_twice_the_time_and_no_more()
    {
        ReplicaView connected = Given.Secondary();

        Given.Plan(Given.Truth(), Given.Silent("node-a", 5.9), connected).Situation.ShouldBe(VolumeSituation.PrimarySuspect);
        Given.Plan(Given.Truth(), Given.Silent("node-a", 6), connected).Situation.ShouldBe(VolumeSituation.TakingOver);
    }

    [Fact]
    public void An_agent_that_was_told_to_end_gets_the_time_of_a_restart_and_no_more()
    {
        ReplicaView restarting = Given.Silent("node-a", 29.9) with { LeftInOrder = true };

        VolumePlan plan = Given.Plan(Given.Truth(), restarting, Survivor);
        plan.Situation.ShouldBe(VolumeSituation.PrimarySuspect);
        plan.Message.ShouldContain("was stopped");
        Given.Plan(Given.Truth(), restarting with { SilentFor = TimeSpan.FromSeconds(30) }, Survivor).Situation.ShouldBe(VolumeSituation.TakingOver);
    }

    [Fact]
    public void A_recorded_takeover_to_the_last_checkpoint_waits_where_the_checkpoint_was_lost_before_the_promotion()
    {
        // The record was swapped, then the new primary's machine lost power and its buffers with it: what its disk holds is no checkpoint.
        VolumeTruth swapped = Given.Truth().TakenOver();
        ReplicaView restarted = Given.Secondary(stage: ReplicaStage.Prepared) with { Connected = false };
        ReplicatedVolumeSpec toCheckpoint = Given.Spec();
        toCheckpoint = toCheckpoint with { Failover = toCheckpoint.Failover with { RecoveryPoint = RecoveryPoint.LastCheckpoint } };

        VolumePlan plan = Given.Plan(swapped, Given.Silent("node-a", 60), restarted, toCheckpoint);
        plan.Situation.ShouldBe(VolumeSituation.Promoting);
        plan.Actions.ShouldBeEmpty();
        plan.Message.ShouldContain("LatestWrite");

        Given.Plan(swapped, Given.Silent("node-a", 60), restarted).Actions[^1].ShouldBe(new VolumeAction.Promote("node-b", 8, RecoveryPoint.LatestWrite));
    }

    [Fact]
    public void A_faulted_second_copy_is_opened_again_because_the_fault_may_have_been_of_the_moment()
    {
        VolumePlan plan = Given.Plan(
            Given.Truth(SecondaryState.Stale), Given.Primary(stage: ReplicaStage.Alone),
            Given.Secondary(stage: ReplicaStage.Faulted) with { Connected = false, Error = "the lineage cannot be written" });

        plan.Actions[0].ShouldBe(new VolumeAction.PrepareSecondary("node-b", 7, "node-a"));
        plan.Message.ShouldContain("the lineage cannot be written");
    }

    [Fact]
    public void A_commit_that_failed_is_tried_again_when_there_is_a_second_copy()
    {
        VolumeTruth swapped = Given.Truth().TakenOver() with { SecondaryState = SecondaryState.InSync };
        ReplicaView failed = new("node-b", TimeSpan.Zero) { Role = ReplicaRole.Primary, Stage = ReplicaStage.FailoverFailed, Term = 8 };
        ReplicaView second = new("node-a", TimeSpan.Zero) { Role = ReplicaRole.Secondary, Stage = ReplicaStage.Running, Term = 8 };

        Given.Plan(swapped, second, failed).Actions.ShouldAllBe(a => a is VolumeAction.AttachSecondary || a is VolumeAction.StartPrimary);
        VolumePlan plan = Given.Plan(swapped, second with { Connected = true }, failed with { Connected = true });
        plan.Actions.ShouldBe([new VolumeAction.Promote("node-b", 8, RecoveryPoint.LatestWrite)]);
    }

    [Theory]
    [InlineData(SecondaryState.Stale)]
    [InlineData(SecondaryState.Syncing)]
    [InlineData(SecondaryState.None)]
    public void A_copy_that_misses_writes_is_never_promoted_by_itself(SecondaryState state)
    {
        VolumePlan plan = Given.Plan(Given.Truth(state), Given.Silent("node-a", 3600), Survivor);

        plan.Situation.ShouldBe(VolumeSituation.PrimaryLost);
        plan.Actions.ShouldBeEmpty();
        plan.Phase.ShouldBe(VolumePhase.Faulted);
    }

    [Fact]
    public void A_manual_policy_waits_for_a_person()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Silent("node-a", 3600), Survivor, Given.Spec(FailoverMode.Manual));

        plan.Actions.ShouldBeEmpty();
        plan.Message.ShouldContain("Manual");
    }

    [Fact]
    public void A_person_may_fail_over_to_an_in_sync_secondary_under_a_manual_policy()
    {
        VolumeIntent asked = new() { Failover = new FailoverRequest(7, RecoveryPoint.LastCheckpoint) };

        VolumePlan plan = Given.Plan(Given.Truth(), Given.Silent("node-a", 1), Survivor, Given.Spec(FailoverMode.Manual), asked);

        plan.Actions[1].ShouldBe(new VolumeAction.Promote("node-b", 8, RecoveryPoint.LastCheckpoint));
    }

    [Fact]
    public void A_request_made_for_an_earlier_term_is_not_carried_out_again()
    {
        VolumeIntent asked = new() { Failover = new FailoverRequest(6) };

        VolumePlan plan = Given.Plan(Given.Truth(), Given.Primary(), Given.Secondary(), intent: asked);

        plan.Actions.ShouldBeEmpty();
        plan.Situation.ShouldBe(VolumeSituation.Protected);
    }

    [Theory]
    [InlineData(null, true, FailoverVerdict.Refused)]
    [InlineData("another-uid", true, FailoverVerdict.Refused)]
    [InlineData(Given.Uid, false, FailoverVerdict.Refused)]
    [InlineData(Given.Uid, true, FailoverVerdict.Allowed)]
    public void A_stale_copy_is_promoted_only_by_naming_the_uid_and_accepting_the_loss(string? uid, bool accept, FailoverVerdict expected)
    {
        VolumeIntent asked = new() { Failover = new FailoverRequest(7, null, uid, accept) };

        VolumePlan plan = Given.Plan(Given.Truth(SecondaryState.Stale), Given.Silent("node-a", 60), Survivor, intent: asked);

        plan.Failover!.Verdict.ShouldBe(expected);
        plan.Actions.OfType<VolumeAction.Promote>().Any().ShouldBe(expected == FailoverVerdict.Allowed);
        plan.Failover.LosesWrites.ShouldBe(expected == FailoverVerdict.Allowed);
    }

    [Fact]
    public void A_takeover_that_was_recorded_but_not_carried_out_is_completed_by_whoever_comes_next()
    {
        VolumeTruth recorded = new(8, "node-b", "node-a", SecondaryState.Stale);

        VolumePlan plan = Given.Plan(recorded, Given.Silent("node-a", 60), Given.Secondary(term: 7));

        plan.Situation.ShouldBe(VolumeSituation.Promoting);
        plan.Actions.ShouldBe([new VolumeAction.Promote("node-b", 8, RecoveryPoint.LatestWrite)]);
    }

    [Fact]
    public void A_copy_that_was_not_started_is_started_as_it_is_before_the_record_changes()
    {
        VolumeIntent forced = new() { Failover = new FailoverRequest(7, null, Given.Uid, true) };

        VolumePlan plan = Given.Plan(
            Given.Truth(SecondaryState.Stale), Given.Silent("node-a", 60), Survivor with { Stage = ReplicaStage.Prepared }, intent: forced);

        plan.Actions[0].ShouldBe(new VolumeAction.StartSecondary("node-b", 7, AsItIs: true));
        plan.Actions[1].ShouldBeOfType<VolumeAction.ReplaceRecord>();
        plan.Actions[2].ShouldBeOfType<VolumeAction.Promote>();
    }

    [Fact]
    public void A_checkpoint_that_is_gone_is_not_promised()
    {
        VolumeIntent asked = new() { Failover = new FailoverRequest(7, RecoveryPoint.LastCheckpoint) };

        VolumePlan plan = Given.Plan(
            Given.Truth(), Given.Silent("node-a", 1), Survivor with { Stage = ReplicaStage.Prepared }, intent: asked);

        plan.Failover!.Verdict.ShouldBe(FailoverVerdict.Refused);
    }

    [Fact]
    public void A_faulted_primary_that_nobody_may_replace_is_opened_again()
    {
        VolumePlan plan = Given.Plan(
            Given.Truth(SecondaryState.Stale), Given.Primary(stage: ReplicaStage.Faulted) with { Error = "promotion failed" }, Survivor);

        plan.Actions.ShouldBe([new VolumeAction.PreparePrimary("node-a", 7, MustExist: true)]);
        plan.Phase.ShouldBe(VolumePhase.Faulted);
    }

    [Fact]
    public void A_faulted_primary_is_followed_at_once()
    {
        ReplicaView faulted = Given.Primary(stage: ReplicaStage.Faulted) with { Error = "disk.raw: input/output error" };

        VolumePlan plan = Given.Plan(Given.Truth(), faulted, Survivor);

        plan.Situation.ShouldBe(VolumeSituation.TakingOver);
        plan.Message.ShouldContain("input/output error");
    }

    [Fact]
    public void A_secondary_that_does_not_answer_cannot_take_over()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Silent("node-a", 60), Given.Silent("node-b", 1));

        plan.Situation.ShouldBe(VolumeSituation.PrimaryLost);
        plan.Message.ShouldContain("node-b does not answer");
    }
}
