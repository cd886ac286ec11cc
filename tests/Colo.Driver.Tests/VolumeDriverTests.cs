using Colo.Api;
using Colo.Control;
using Colo.Testing;

namespace Colo.Driver.Tests;

/// <summary>Rounds against real agents, which are seen through a feed as in a cluster.</summary>
public sealed class VolumeDriverTests
{
    [Fact]
    public async Task A_volume_is_placed_filled_and_protected_and_then_left_alone()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync();

        RoundResult result = await volume.UntilProtectedAsync();

        volume.Truth.SecondaryState.ShouldBe(AgentApi.SecondaryState.InSync);
        volume.Holders.ShouldBe(["node-a", "node-b"], ignoreOrder: true, "each node is held responsible before it is asked for anything");
        result.Status.Conditions.Single(c => c.Type == ConditionType.Protected).Status.ShouldBe("True");
        await volume.UntilAsync(r => r.RequeueAfter > TimeSpan.FromSeconds(5), "nothing to do until the next checkpoint is due");
    }

    [Fact]
    public async Task A_killed_primary_is_replaced_and_no_acknowledged_write_is_lost()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync();
        await volume.UntilProtectedAsync();
        await Guest.WriteAsync(volume.GuestUri(), 0x5a);
        string former = volume.Truth.Primary;

        await volume[former].KillAsync();
        await volume.UntilAsync(r => r.Seen.Truth!.Term == 2 && r.Status.Endpoint?.Uri is not null && Ready(r), "the other node serves");

        volume.Truth.Primary.ShouldNotBe(former);
        await Guest.ExpectAsync(volume.GuestUri(), 0x5a);
        await volume[former].StartAsync();
        await volume.UntilProtectedAsync();
        volume.Truth.Secondary.ShouldBe(former);
    }

    [Fact]
    public async Task A_frozen_primary_is_replaced_and_does_no_harm_when_it_thaws()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync();
        await volume.UntilProtectedAsync();
        string former = volume.Truth.Primary;

        await volume[former].SignalAsync("STOP");
        await volume.UntilAsync(r => r.Seen.Truth!.Term == 2 && Ready(r), "the other node serves");
        await Guest.WriteAsync(volume.GuestUri(), 0x33);
        await volume[former].SignalAsync("CONT");
        await volume.UntilProtectedAsync();

        volume.Truth.Secondary.ShouldBe(former);
        await Guest.ExpectAsync(volume.GuestUri(), 0x33);
    }

    [Fact]
    public async Task A_driver_that_knows_nothing_of_the_past_finishes_what_another_began()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync();
        while ((await volume.RoundAsync()).Status.Phase != VolumePhase.Protected)
        {
            // Each round is driven by a new process, as it were.
            volume.ForgetDriver();
            await Task.Delay(20);
        }

        string target = volume.Truth.Secondary;
        await Eventually.TrueAsync(
            async () =>
            {
                // A busy machine may refuse one (a link that was just lost): whoever asked asks again.
                volume.Intent = volume.Intent with { SwitchOverTo = target };
                await volume.RoundAsync();
                volume.ForgetDriver();
                return volume.Settled.Any(s => s.Verb == RequestVerb.Switchover && s.Done);
            },
            "switched over");

        volume.Truth.Term.ShouldBe(2);
    }

    [Fact]
    public async Task A_cordoned_node_hands_its_primary_over_without_loss_and_keeps_the_other_copy()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync();
        await volume.UntilProtectedAsync();
        await Guest.WriteAsync(volume.GuestUri(), 0x21);
        string former = volume.Truth.Primary;

        volume.Cordoned.Add(former);
        await volume.UntilAsync(r => r.Seen.Truth!.Primary != former && r.Status.Phase == VolumePhase.Protected, "moved, and protected again");

        volume.Truth.Secondary.ShouldBe(former);
        await Guest.ExpectAsync(volume.GuestUri(), 0x21);
    }

    [Fact]
    public async Task An_excluded_node_loses_its_copy_to_a_third_one_and_is_cleared_afterwards()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync(nodes: 3);
        await volume.UntilProtectedAsync();
        await Guest.WriteAsync(volume.GuestUri(), 0x42);
        (string primary, string former) = (volume.Truth.Primary, volume.Truth.Secondary);

        volume.Excluded.Add(former);
        await volume.UntilAsync(
            r => r.Status.Phase == VolumePhase.Protected && volume.Truth.Secondary != former && !volume.Holders.Contains(former),
            "a third node holds the second copy and the former one is cleared");

        volume.Truth.Primary.ShouldBe(primary);
        (await volume[former].StatusAsync(DrivenVolume.Uid)).ShouldBeNull();
        await volume[primary].KillAsync();
        await volume.UntilAsync(r => r.Seen.Truth!.Primary != primary && Ready(r), "the new copy takes over");
        await Guest.ExpectAsync(volume.GuestUri(), 0x42);
    }

    [Fact]
    public async Task A_copy_is_made_anew_on_request()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync();
        await volume.UntilProtectedAsync();
        await Guest.WriteAsync(volume.GuestUri(), 0x17);
        string secondary = volume.Truth.Secondary;
        string before = (await volume[secondary].StatusAsync(DrivenVolume.Uid))!.Generation;

        volume.Intent = VolumeIntent.None with { Resync = secondary };
        await volume.UntilAsync(r => volume.Settled.Any(s => s.Verb == RequestVerb.Resync) && r.Status.Phase == VolumePhase.Protected, "filled anew");

        volume.Settled.Single(s => s.Verb == RequestVerb.Resync).Done.ShouldBeTrue();
        (await volume[secondary].StatusAsync(DrivenVolume.Uid))!.Generation.ShouldNotBe(before);
        await volume[volume.Truth.Primary].KillAsync();
        await volume.UntilAsync(r => r.Seen.Truth!.Term == 2 && Ready(r), "the new copy takes over");
        await Guest.ExpectAsync(volume.GuestUri(), 0x17);
    }

    [Fact]
    public async Task A_larger_size_is_told_and_the_volume_stays_protected_also_through_a_new_copy()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync();
        await volume.UntilProtectedAsync();

        volume.Volume = volume.Volume with { Spec = volume.Volume.Spec with { Size = ByteQuantity.FromMebibytes(32) } };
        volume.Intent = VolumeIntent.None with { Resync = volume.Truth.Secondary };
        RoundResult result = await volume.UntilAsync(r => volume.Intent.Resync is null && r.Status.Phase == VolumePhase.Protected, "filled anew");

        result.Status.Conditions.Single(c => c.Type == ConditionType.SpecApplied).Reason.ShouldBe(UnappliedSpec.ResizeNotSupported);
    }

    [Fact]
    public async Task A_deletion_clears_each_node_and_goes_on_without_one_that_is_dead_for_the_grace_period()
    {
        await using DrivenVolume volume = await DrivenVolume.StartAsync(deadNodeGrace: TimeSpan.FromSeconds(5));
        await volume.UntilProtectedAsync();
        string dead = volume.Truth.Secondary;
        string alive = volume.Truth.Primary;

        await volume[dead].KillAsync();
        volume.Intent = VolumeIntent.None with { Delete = true };
        RoundResult waiting = await volume.UntilAsync(_ => !volume.Holders.Contains(alive), "the living node is cleared");
        waiting.IsDeleted.ShouldBeFalse();
        RoundResult over = await volume.UntilAsync(r => r.IsDeleted, "the deletion goes on");

        over.Plan!.Deletion!.GivenUp.ShouldBe([dead]);
        volume.Record.Read().ShouldBeNull();
        volume.Holders.ShouldBe([dead]);
    }

    private static bool Ready(RoundResult round) => round.Status.Conditions.Any(c => c is { Type: ConditionType.Ready, Status: "True" });
}
