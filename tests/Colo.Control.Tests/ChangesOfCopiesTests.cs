using Colo.Api;

namespace Colo.Control.Tests;

/// <summary>Second copies that move, are made anew, or are left behind.</summary>
public sealed class ChangesOfCopiesTests
{
    private static readonly NodeFacts A = PlacementTests.Node("node-a");
    private static readonly NodeFacts B = PlacementTests.Node("node-b");
    private static readonly NodeFacts C = PlacementTests.Node("node-c");
    private static readonly ReplicaView Gone = Given.Silent("node-b", 60);

    [Fact]
    public void A_copy_whose_node_is_gone_gets_another_node()
    {
        VolumePlan plan = Plan([A, C], Given.Truth(SecondaryState.Stale), Given.Primary(stage: ReplicaStage.Alone), Gone);

        plan.Situation.ShouldBe(VolumeSituation.Replacing);
        plan.Actions.ShouldHaveSingleItem().ShouldBeOfType<VolumeAction.ReplaceRecord>()
            .Next.ShouldBe(Given.Truth(SecondaryState.Syncing) with { Secondary = "node-c" });
    }

    [Fact]
    public void A_node_that_is_only_silent_or_only_just_gone_keeps_its_copy()
    {
        Plan([A, B, C], Given.Truth(SecondaryState.Stale), Given.Primary(stage: ReplicaStage.Alone), Gone)
            .Situation.ShouldBe(VolumeSituation.SecondaryLost);
        Plan([A, C], Given.Truth(SecondaryState.Stale), Given.Primary(stage: ReplicaStage.Alone), Given.Silent("node-b", 10))
            .Situation.ShouldBe(VolumeSituation.SecondaryLost);
    }

    [Fact]
    public void An_excluded_node_that_is_attached_is_let_go_of_before_the_record_changes()
    {
        VolumePlan plan = Plan([A, B with { Excluded = true }, C], Given.Truth(), Given.Primary(), Given.Secondary());

        plan.Actions.ShouldHaveSingleItem().ShouldBe(new VolumeAction.DetachSecondary("node-a", 7));
    }

    [Theory]
    [InlineData(ReplicaStage.FailingOver)]
    [InlineData(ReplicaStage.FailoverFailed)]
    [InlineData(ReplicaStage.WaitingArbiter)]
    public void The_only_copy_that_is_known_to_be_good_is_never_given_up(ReplicaStage primary)
    {
        Plan([A, B with { Excluded = true }, C], Given.Truth(), Given.Primary(stage: primary), Given.Secondary())
            .Situation.ShouldNotBe(VolumeSituation.Replacing);
        Plan([A, C], Given.Truth(), Given.Silent("node-a", 60), Gone).Actions.ShouldBeEmpty();
    }

    [Fact]
    public void Where_there_is_no_other_node_the_volume_stays_and_says_so()
    {
        VolumePlan plan = Plan([A, C with { Schedulable = false }], Given.Truth(SecondaryState.Stale), Given.Primary(stage: ReplicaStage.Alone), Gone);

        plan.Situation.ShouldBe(VolumeSituation.SecondaryLost);
        plan.Message.ShouldContain("node-c: cordoned");
        plan.Unapplied.ShouldNotBeNull().Reason.ShouldBe(UnappliedSpec.NoPlacement);
    }

    [Fact]
    public void What_another_node_still_holds_is_deleted_when_the_volume_is_protected_and_not_before()
    {
        ReplicaView left = new ReplicaView("node-c", TimeSpan.Zero) { Role = ReplicaRole.Secondary, Stage = ReplicaStage.Fenced, Term = 5 };

        Plan([A, B, C], Given.Truth(), Given.Primary(), Given.Secondary(), left).Actions.ShouldHaveSingleItem().ShouldBe(new VolumeAction.DeleteReplica("node-c", 7));
        Plan([A, B, C], Given.Truth(SecondaryState.Syncing), Given.Primary(stage: ReplicaStage.Syncing), Given.Secondary(), left).Actions.ShouldBeEmpty();
    }

    [Fact]
    public void A_copy_that_is_made_anew_is_let_go_of_first_and_then_dropped()
    {
        VolumeIntent asked = VolumeIntent.None with { Resync = "node-b" };

        Given.Plan(Given.Truth(), Given.Primary(), Given.Secondary(), intent: asked).Actions.ShouldHaveSingleItem()
            .ShouldBe(new VolumeAction.DetachSecondary("node-a", 7));
        Given.Plan(Given.Truth(SecondaryState.Stale), Given.Primary(stage: ReplicaStage.Alone), Given.Secondary(), intent: asked).Actions.ShouldHaveSingleItem()
            .ShouldBe(new VolumeAction.DeleteReplica("node-b", 7));
    }

    [Theory]
    [InlineData("node-a", "node-a is the primary")]
    [InlineData("node-c", "node-c is not the secondary")]
    public void Only_the_secondarys_copy_is_made_anew(string node, string reason)
    {
        VolumePlan plan = Given.Plan(Given.Truth(), Given.Primary(), Given.Secondary(), intent: VolumeIntent.None with { Resync = node });

        plan.Refill.ShouldNotBeNull().Step.ShouldBe(RefillStep.Refused);
        plan.Refill.Reason.ShouldContain(reason);
        plan.Situation.ShouldBe(VolumeSituation.Protected);
    }

    [Fact]
    public void A_primary_that_replicates_to_a_node_that_is_no_secondary_any_more_lets_go_of_it() =>
        Given.Plan(Given.Truth(SecondaryState.Syncing), Given.Primary() with { PeerNode = "node-x" }, Given.Secondary()).Actions.ShouldHaveSingleItem()
            .ShouldBe(new VolumeAction.DetachSecondary("node-a", 7));

    private static VolumePlan Plan(NodeFacts[] candidates, VolumeTruth truth, params ReplicaView[] views) =>
        VolumeReconciler.Plan(new VolumeInput(Given.Uid, Given.Spec(), truth, views, VolumeIntent.None) { Candidates = candidates });
}
