using Colo.Api;

namespace Colo.Control.Tests;

public sealed class StartOrderTests
{
    [Fact]
    public void A_new_volume_is_recorded_once_both_agents_answer()
    {
        Given.Plan(null, Given.Empty("node-a"), Given.Silent("node-b", 1)).Actions.ShouldBeEmpty();

        VolumePlan plan = Given.Plan(null, Given.Empty("node-a"), Given.Empty("node-b"));

        plan.Actions.ShouldBe([new VolumeAction.CreateRecord(new VolumeTruth(1, "node-a", "node-b", SecondaryState.Syncing))]);
        plan.Phase.ShouldBe(VolumePhase.Pending);
    }

    [Fact]
    public void A_new_volume_is_never_recorded_as_in_sync()
    {
        VolumePlan plan = Given.Plan(null, Given.Empty("node-a"), Given.Empty("node-b"));

        plan.Actions.OfType<VolumeAction.CreateRecord>().ShouldAllBe(a => a.Truth.SecondaryState != SecondaryState.InSync);
    }

    [Fact]
    public void The_preferred_primary_of_the_spec_is_taken()
    {
        ReplicatedVolumeSpec spec = Given.Spec() with { Placement = new PlacementSpec { PrimaryNode = "node-b" } };

        VolumePlan plan = Given.Plan(null, Given.Empty("node-a"), Given.Empty("node-b"), spec);

        plan.Actions.OfType<VolumeAction.CreateRecord>().Single().Truth.Primary.ShouldBe("node-b");
    }

    [Fact]
    public void The_secondary_is_started_before_the_primary()
    {
        VolumePlan plan = Given.Plan(Given.Truth(SecondaryState.Syncing, 1), Given.Primary(1, ReplicaStage.Prepared), Given.Empty("node-b"));

        plan.Actions.Select(a => a.GetType()).ShouldBe(
            [typeof(VolumeAction.PrepareSecondary), typeof(VolumeAction.StartSecondary), typeof(VolumeAction.StartPrimary)]);
        plan.Phase.ShouldBe(VolumePhase.Provisioning);
    }

    [Fact]
    public void A_primary_that_the_record_says_holds_data_is_never_created_anew()
    {
        VolumePlan first = Given.Plan(Given.Truth(SecondaryState.Syncing, 1), Given.Empty("node-a"), Given.Empty("node-b"));
        VolumePlan later = Given.Plan(Given.Truth(SecondaryState.Stale, 2), Given.Empty("node-a"), Given.Empty("node-b"));

        first.Actions.ShouldBe([new VolumeAction.PreparePrimary("node-a", 1, MustExist: false)]);
        later.Actions.ShouldBe([new VolumeAction.PreparePrimary("node-a", 2, MustExist: true)]);
    }

    [Fact]
    public void A_former_primary_that_returns_becomes_secondary_of_the_new_term_and_is_filled()
    {
        ReplicaView returned = new("node-b", TimeSpan.Zero) { Role = ReplicaRole.Primary, Stage = ReplicaStage.Fenced, Term = 7 };

        VolumePlan plan = Given.Plan(Given.Truth(SecondaryState.Stale, 8), Given.Primary(8, ReplicaStage.Alone), returned);

        plan.Actions.ShouldBe(
        [
            new VolumeAction.PrepareSecondary("node-b", 8, "node-a"),
            new VolumeAction.StartSecondary("node-b", 8),
            new VolumeAction.AttachSecondary("node-a", 8, "node-b"),
        ]);
    }

    [Fact]
    public void A_former_primary_that_still_serves_an_old_term_is_turned_into_a_secondary()
    {
        ReplicaView old = new("node-b", TimeSpan.Zero) { Role = ReplicaRole.Primary, Stage = ReplicaStage.Running, Term = 7 };

        VolumePlan plan = Given.Plan(Given.Truth(SecondaryState.Stale, 8), Given.Primary(8, ReplicaStage.Alone), old);

        plan.Actions[0].ShouldBe(new VolumeAction.PrepareSecondary("node-b", 8, "node-a"));
    }

    [Fact]
    public void While_the_new_primary_commits_its_buffer_nothing_is_attached_to_it()
    {
        VolumePlan plan = Given.Plan(
            Given.Truth(SecondaryState.Stale, 8), Given.Primary(8, ReplicaStage.FailingOver), Given.Secondary(8, ReplicaStage.Prepared));

        plan.Situation.ShouldBe(VolumeSituation.Committing);
        plan.Actions.ShouldBeEmpty();
    }

    [Fact]
    public void Connected_is_not_yet_protected_while_the_record_says_syncing()
    {
        VolumePlan plan = Given.Plan(Given.Truth(SecondaryState.Syncing), Given.Primary(), Given.Secondary());

        plan.Phase.ShouldBe(VolumePhase.Syncing);
    }

    [Fact]
    public void A_primary_that_holds_its_acknowledgements_is_not_called_protected()
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Primary() with { Suspended = true }, Given.Secondary());

        plan.Phase.ShouldBe(VolumePhase.Degraded);
    }
}
