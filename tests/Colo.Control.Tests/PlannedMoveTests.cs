using Colo.Api;

namespace Colo.Control.Tests;

public sealed class PlannedMoveTests
{
    private static readonly NodeFacts A = PlacementTests.Node("node-a");
    private static readonly NodeFacts B = PlacementTests.Node("node-b");

    [Fact]
    public void The_primary_moves_off_a_cordoned_node_without_loss()
    {
        VolumePlan plan = Plan([A with { Schedulable = false }, B], Given.Truth(), Given.Primary(), Given.Secondary());

        plan.Situation.ShouldBe(VolumeSituation.SwitchingOver);
        plan.Actions.ShouldBe([new VolumeAction.Checkpoint("node-a", 7, "switchover"), new VolumeAction.HoldWrites("node-a", 7)]);
        plan.Message.ShouldContain("node-a is cordoned");
        plan.TargetPrimary.ShouldBe("node-b");
        plan.Switchover.ShouldBeNull("nobody asked, nobody is told");
    }

    [Fact]
    public void It_waits_until_the_other_copy_is_in_sync()
    {
        VolumePlan plan = Plan([A with { Schedulable = false }, B], Given.Truth(SecondaryState.Syncing), Given.Primary(stage: ReplicaStage.Syncing), Given.Secondary());

        plan.Situation.ShouldBe(VolumeSituation.Syncing);
    }

    [Fact]
    public void Where_both_nodes_are_cordoned_it_stays() =>
        Plan([A with { Schedulable = false }, B with { Schedulable = false }], Given.Truth(), Given.Primary(), Given.Secondary())
            .Situation.ShouldBe(VolumeSituation.Protected);

    [Fact]
    public void A_secondary_on_a_cordoned_node_stays() =>
        Plan([A, B with { Schedulable = false }], Given.Truth(), Given.Primary(), Given.Secondary()).Situation.ShouldBe(VolumeSituation.Protected);

    [Fact]
    public void A_changed_primaryNode_is_a_switchover_and_an_unchanged_one_is_not()
    {
        Plan([A, B], Given.Truth(), Given.Primary(), Given.Secondary(), preferred: "node-b", before: "").Situation.ShouldBe(VolumeSituation.SwitchingOver);
        Plan([A, B], Given.Truth(), Given.Primary(), Given.Secondary(), preferred: "node-b", before: "node-b").Situation.ShouldBe(VolumeSituation.Protected);
        Plan([A, B], Given.Truth(), Given.Primary(), Given.Secondary(), preferred: "node-b", before: null).Situation.ShouldBe(VolumeSituation.Protected);
    }

    [Fact]
    public void A_primaryNode_that_holds_no_copy_is_told()
    {
        VolumePlan plan = Plan([A, B], Given.Truth(), Given.Primary(), Given.Secondary(), preferred: "node-z", before: "");

        plan.Situation.ShouldBe(VolumeSituation.Protected);
        plan.Unapplied.ShouldNotBeNull().Reason.ShouldBe(UnappliedSpec.NotAReplica);
    }

    private static VolumePlan Plan(
        NodeFacts[] candidates, VolumeTruth truth, ReplicaView a, ReplicaView b, string preferred = "", string? before = null)
    {
        ReplicatedVolumeSpec spec = Given.Spec() with { Placement = new PlacementSpec { PrimaryNode = preferred } };
        return VolumeReconciler.Plan(new VolumeInput(Given.Uid, spec, truth, [a, b], VolumeIntent.None) { Candidates = candidates, PrimaryNodeBefore = before });
    }
}
