using Colo.Api;

namespace Colo.Control.Tests;

public sealed class SpecAndDiskTests
{
    [Fact]
    public void An_invalid_spec_creates_nothing_and_names_the_rule()
    {
        ReplicatedVolumeSpec spec = Given.Spec() with { Size = new ByteQuantity(4097) };
        VolumeInput input = new(Given.Uid, spec, null, [Given.Empty("node-a"), Given.Empty("node-b")], VolumeIntent.None);

        VolumePlan plan = VolumeReconciler.Plan(input);

        plan.Situation.ShouldBe(VolumeSituation.SpecInvalid);
        plan.Actions.ShouldBeEmpty();
        VolumeCondition condition = VolumeConditions.Of(plan, input).Single(c => c.Type == ConditionType.SpecApplied);
        (condition.Status, condition.Reason).ShouldBe(("False", "InvalidSpec"));
        condition.Message.ShouldContain("spec.size");
    }

    [Fact]
    public void A_spec_that_became_invalid_does_not_keep_a_volume_from_failing_over()
    {
        ReplicatedVolumeSpec spec = Given.Spec() with { Resync = new ResyncSpec { MaxBytesPerSecond = -1 } };

        Given.Plan(Given.Truth(), Given.Silent("node-a", 60), Given.Secondary() with { Connected = false }, spec).Situation.ShouldBe(VolumeSituation.TakingOver);
        VolumePlan healthy = Given.Plan(Given.Truth(), Given.Primary() with { Checkpoints = 0, SinceCheckpoint = TimeSpan.FromHours(1) }, Given.Secondary(), spec);
        healthy.Situation.ShouldBe(VolumeSituation.SpecInvalid);
        healthy.Actions.ShouldBeEmpty();
        healthy.Phase.ShouldBe(VolumePhase.Protected, "the two copies are what they are");
    }

    [Fact]
    public void A_disk_can_neither_shrink_nor_move_to_another_pool_and_growing_is_told()
    {
        ReplicaView primary = Given.Primary() with { SizeBytes = 2L << 30, Pool = "fast" };

        Given.Plan(Given.Truth(), primary, Given.Secondary()).Unapplied!.Message.ShouldContain("spec.size may grow, never shrink");
        Given.Plan(Given.Truth(), primary, Given.Secondary()).Unapplied!.Message.ShouldContain("spec.storagePool cannot be changed");
        VolumePlan larger = Given.Plan(Given.Truth(), Given.Primary() with { SizeBytes = 1L << 29 }, Given.Secondary());
        larger.Unapplied!.Reason.ShouldBe(UnappliedSpec.ResizeNotSupported);
        larger.Situation.ShouldBe(VolumeSituation.Protected);
    }

    [Fact]
    public void A_primary_whose_disk_hangs_for_the_full_time_is_replaced_though_its_agent_answers()
    {
        ReplicaView Hangs(double seconds) => Given.Primary() with { PoolFailingFor = TimeSpan.FromSeconds(seconds), PoolFault = "no answer" };

        VolumePlan early = Given.Plan(Given.Truth(), Hangs(1), Given.Secondary());
        early.Situation.ShouldBe(VolumeSituation.PrimarySuspect);
        early.Phase.ShouldBe(VolumePhase.Degraded, "a storage that hangs never looks healthy");
        Given.Plan(Given.Truth(), Hangs(3), Given.Secondary()).Situation.ShouldBe(VolumeSituation.TakingOver);
        Given.Plan(Given.Truth(SecondaryState.Stale), Hangs(3), Given.Secondary()).Actions.ShouldBeEmpty();
    }

    [Fact]
    public void A_faulted_primary_that_nobody_may_replace_is_opened_again_once_its_pool_is_well()
    {
        ReplicaView faulted = Given.Primary(stage: ReplicaStage.Faulted) with { Error = "a flush failed" };
        VolumeTruth alone = Given.Truth(SecondaryState.Stale);

        Given.Plan(Given.Truth(), faulted, Given.Secondary()).Situation.ShouldBe(VolumeSituation.TakingOver);
        Given.Plan(alone, faulted, Given.Secondary()).Actions.ShouldBe([new VolumeAction.PreparePrimary("node-a", alone.Term, MustExist: true)]);
        Given.Plan(alone, faulted with { PoolFailingFor = TimeSpan.Zero, PoolFault = "EIO" }, Given.Secondary()).Actions.ShouldBeEmpty();
    }

    [Fact]
    public void A_secondary_whose_disk_hangs_is_lost_and_takes_nothing_over()
    {
        ReplicaView hangs = Given.Secondary() with { PoolFailingFor = TimeSpan.FromSeconds(1), PoolFault = "no answer" };

        Given.Plan(Given.Truth(), Given.Primary(), hangs).Situation.ShouldBe(VolumeSituation.SecondaryLost);
        Given.Plan(Given.Truth(), Given.Silent("node-a", 60), hangs).Situation.ShouldBe(VolumeSituation.PrimaryLost);
    }
}
