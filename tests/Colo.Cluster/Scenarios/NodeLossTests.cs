using System.Diagnostics;
using Colo.Cluster.Lab;
using Colo.Cluster.Load;

namespace Colo.Cluster.Scenarios;

/// <summary>A node loses its power while its guest writes.</summary>
public sealed class NodeLossTests(KubeCluster cluster) : Scenario(cluster)
{
    /// <summary>The leader's Lease (6 s) has to run out first, and the next one must read the cluster.</summary>
    private static readonly TimeSpan WithoutLeader = TimeSpan.FromSeconds(15);

    [Fact]
    public async Task Primary_killed()
    {
        TimeSpan silent = await KillPrimaryAsync(await VolumeAsync());
        silent.ShouldBeLessThan(Promise);
    }

    [Fact]
    public async Task Primary_killed_together_with_the_leading_operator()
    {
        TimeSpan silent = await KillPrimaryAsync(await VolumeAsync(withLeader: true));
        silent.ShouldBeLessThan(WithoutLeader);
    }

    [Fact]
    public async Task Secondary_killed()
    {
        Volume volume = await VolumeAsync();
        await using Writer guest = volume.WriterOn(volume.Primary);
        await guest.ProgressAsync(500, Patience.Step);
        guest.ForgetGap();

        await volume.Secondary.KillAsync();
        await volume.WaitStatusAsync("secondaryState", "Stale");
        await guest.ProgressAsync(1000, Patience.Step);
        Notes.Add("writes held for", guest.LongestGap);
        guest.LongestGap.ShouldBeLessThan(Promise);

        await volume.Secondary.BootAsync();
        await volume.WaitProtectedAsync();
        await guest.DisposeAsync();
        await volume.ProveAsync();
    }

    private static async Task<TimeSpan> KillPrimaryAsync(Volume volume)
    {
        await using Writer old = volume.WriterOn(volume.Primary);
        await using Writer successor = volume.WriterOn(volume.Secondary);
        TimeSpan silent = await TakeoverAsync(old, successor, volume.Primary.KillAsync);
        Notes.Add("kill to first answer on the other node", silent);

        long start = Stopwatch.GetTimestamp();
        await volume.Primary.BootAsync();
        await volume.WaitStatusAsync("currentSecondary", volume.Primary.Name);
        await volume.WaitProtectedAsync();
        Notes.Add("boot to Protected", Stopwatch.GetElapsedTime(start));
        await successor.DisposeAsync();
        await old.DisposeAsync();
        await volume.ProveAsync();
        return silent;
    }
}
