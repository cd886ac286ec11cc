using Colo.Api;

namespace Colo.Control.Tests;

public sealed class DeletionTests
{
    private static readonly VolumeIntent Delete = VolumeIntent.None with { Delete = true };

    [Fact]
    public void Each_node_that_answers_is_asked_and_the_record_goes_last() =>
        Plan(null, Given.Primary(), Given.Secondary()).Actions.ShouldBe(
            [new VolumeAction.DeleteReplica("node-a", 7), new VolumeAction.DeleteReplica("node-b", 7), new VolumeAction.DeleteRecord()]);

    [Fact]
    public void A_silent_node_is_waited_for_while_the_others_are_cleared()
    {
        VolumePlan plan = Plan(TimeSpan.FromMinutes(5), Given.Primary(), Given.Silent("node-b", 299));

        plan.Actions.ShouldBe([new VolumeAction.DeleteReplica("node-a", 7)]);
        plan.Deletion!.Waiting.ShouldBe(["node-b"]);
    }

    [Fact]
    public void A_node_that_is_dead_for_the_grace_period_is_given_up_by_name()
    {
        VolumePlan plan = Plan(TimeSpan.FromMinutes(5), Given.Primary(), Given.Silent("node-b", 300));

        plan.Actions.ShouldBe([new VolumeAction.DeleteReplica("node-a", 7), new VolumeAction.DeleteRecord()]);
        plan.Deletion!.GivenUp.ShouldBe(["node-b"]);
        plan.Message.ShouldContain("given up: node-b");
    }

    [Fact]
    public void Without_a_grace_period_it_waits_for_ever() =>
        Plan(null, Given.Primary(), Given.Silent("node-b", 1e6)).Deletion!.Waiting.ShouldBe(["node-b"]);

    [Fact]
    public void A_volume_that_never_got_a_record_is_cleared_from_the_nodes_that_were_to_hold_it()
    {
        VolumeInput input = new(Given.Uid, Given.Spec(), null, [Given.Empty("node-a")], Delete) { Holders = ["node-a"] };

        VolumeReconciler.Plan(input).Actions.ShouldBe([new VolumeAction.DeleteReplica("node-a", 1)]);
    }

    private static VolumePlan Plan(TimeSpan? grace, ReplicaView a, ReplicaView b) =>
        VolumeReconciler.Plan(new VolumeInput(Given.Uid, Given.Spec(), Given.Truth(), [a, b], Delete) { DeadNodeGrace = grace });
}
