using Colo.Api;

namespace Colo.Control.Tests;

public sealed class CheckpointScheduleTests
{
    [Fact]
    public void It_is_due_after_the_interval_and_not_before()
    {
        Actions(Given.Primary() with { SinceCheckpoint = TimeSpan.FromSeconds(29.9) }).ShouldBeEmpty();
        Actions(Given.Primary() with { SinceCheckpoint = TimeSpan.FromSeconds(30) }).ShouldHaveSingleItem().ShouldBeOfType<VolumeAction.Checkpoint>();
    }

    [Fact]
    public void An_interval_of_zero_means_only_when_asked()
    {
        ReplicatedVolumeSpec spec = Given.Spec() with { Checkpoint = new CheckpointSpec { Interval = default } };
        ReplicaView primary = Given.Primary() with { SinceCheckpoint = TimeSpan.FromDays(1) };

        Actions(primary, spec).ShouldBeEmpty();
        Actions(primary, spec, new VolumeIntent { Checkpoint = true }).ShouldHaveSingleItem();
    }

    [Fact]
    public void The_first_of_a_term_comes_as_soon_as_the_copies_are_in_sync_and_is_not_repeated_at_once()
    {
        ReplicaView primary = Given.Primary() with { Checkpoints = 0, SinceCheckpoint = TimeSpan.FromSeconds(1) };

        Actions(primary).ShouldHaveSingleItem();
        Actions(primary with { SinceCheckpoint = TimeSpan.FromMilliseconds(100) }).ShouldBeEmpty();
    }

    [Theory]
    [InlineData(BufferFullPolicy.Checkpoint, 1)]
    [InlineData(BufferFullPolicy.Detach, 0)]
    public void A_filling_buffer_asks_for_one_where_the_policy_says_so(BufferFullPolicy policy, int expected)
    {
        ReplicatedVolumeSpec spec = Given.Spec() with { Buffer = new BufferSpec { OnFull = policy } };
        ReplicaView secondary = Given.Secondary() with { BufferedBytes = 750, BufferLimitBytes = 1000 };
        ReplicaView primary = Given.Primary() with { SinceCheckpoint = TimeSpan.FromSeconds(1) };

        Given.Plan(Given.Truth(), primary, secondary, spec).Actions.Count.ShouldBe(expected);
    }

    [Fact]
    public void There_is_none_while_the_copies_are_not_in_sync()
    {
        Given.Plan(Given.Truth(SecondaryState.Syncing), Given.Primary() with { SinceCheckpoint = TimeSpan.FromDays(1) }, Given.Secondary())
            .Actions.ShouldBeEmpty();
    }

    private static IReadOnlyList<VolumeAction> Actions(ReplicaView primary, ReplicatedVolumeSpec? spec = null, VolumeIntent? intent = null) =>
        Given.Plan(Given.Truth(), primary, Given.Secondary(), spec, intent).Actions;
}
