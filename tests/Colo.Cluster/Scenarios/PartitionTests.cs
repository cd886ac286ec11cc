using Colo.Cluster.Lab;
using Colo.Cluster.Load;

namespace Colo.Cluster.Scenarios;

/// <summary>Links break or processes hang while everything lives: nobody may take a silent primary for a dead one and be wrong.</summary>
public sealed class PartitionTests(KubeCluster cluster) : Scenario(cluster)
{
    /// <summary>Past every timeout of ours: heartbeats, peers, Leases.</summary>
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(15);

    [Fact]
    public async Task Network_of_the_primary_cut()
    {
        Volume volume = await VolumeAsync();
        await using Writer old = volume.WriterOn(volume.Primary);
        await using Writer successor = volume.WriterOn(volume.Secondary);
        Notes.Add("cut to first answer on the other node", await TakeoverAsync(old, successor, volume.Primary.CutAsync));

        // It lives, and it must go on saying nothing.
        await Task.Delay(Long);
        await volume.Primary.HealAsync();
        await BackInOrderAsync(volume, old, successor);
    }

    [Fact]
    public async Task Agent_of_the_primary_frozen_and_thawed()
    {
        Volume volume = await VolumeAsync();
        await using Writer old = volume.WriterOn(volume.Primary);
        await using Writer successor = volume.WriterOn(volume.Secondary);
        TimeSpan silent = await TakeoverAsync(old, successor, () => volume.Primary.SignalAsync("STOP", "colo-agent.dll"));
        Notes.Add("freeze to first answer on the other node", silent);

        await Task.Delay(Long);
        await volume.Primary.SignalAsync("CONT", "colo-agent.dll");
        await BackInOrderAsync(volume, old, successor);
    }

    [Fact]
    public async Task Agent_of_the_secondary_frozen_and_thawed()
    {
        Volume volume = await VolumeAsync();
        await using Writer guest = volume.WriterOn(volume.Primary);
        await guest.ProgressAsync(500, Patience.Step);
        guest.ForgetGap();

        await volume.Secondary.SignalAsync("STOP", "colo-agent.dll");
        await volume.WaitStatusAsync("secondaryState", "Stale");
        await guest.ProgressAsync(1000, Patience.Step);
        Notes.Add("writes held for", guest.LongestGap);
        await volume.Secondary.SignalAsync("CONT", "colo-agent.dll");

        await volume.WaitProtectedAsync();
        (await volume.StatusAsync("currentPrimary")).ShouldBe(volume.Primary.Name);
        await guest.DisposeAsync();
        await volume.ProveAsync();
    }

    [Fact]
    public async Task Link_between_the_replicas_cut()
    {
        Volume volume = await VolumeAsync();
        await using Writer guest = volume.WriterOn(volume.Primary);
        await using Writer other = volume.WriterOn(volume.Secondary);
        await guest.ProgressAsync(500, Patience.Step);
        guest.ForgetGap();

        await volume.Primary.CutFromAsync(volume.Secondary);
        await volume.WaitStatusAsync("secondaryState", "Stale");
        await guest.ProgressAsync(1000, Patience.Step);
        Notes.Add("writes held for", guest.LongestGap);
        await volume.Primary.HealFromAsync(volume.Secondary);

        await volume.WaitProtectedAsync();
        other.FirstAnswer.ShouldBeNull("the secondary served, although its primary lived");
        await guest.DisposeAsync();
        await other.DisposeAsync();
        await volume.ProveAsync();
    }

    private static async Task BackInOrderAsync(Volume volume, Writer old, Writer successor)
    {
        await volume.WaitStatusAsync("currentSecondary", volume.Primary.Name);
        await volume.WaitProtectedAsync();
        await successor.ProgressAsync(100, Patience.Step);
        OneAfterTheOther(old, successor);
        await old.DisposeAsync();
        await successor.DisposeAsync();
        await volume.ProveAsync();
    }
}
