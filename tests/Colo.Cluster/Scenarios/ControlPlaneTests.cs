using System.Diagnostics;
using Colo.Cluster.Lab;
using Colo.Cluster.Load;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Cluster.Scenarios;

/// <summary>Those who decide are away. Guests notice only where a decision is needed, and then they wait.</summary>
public sealed class ControlPlaneTests(KubeCluster cluster) : Scenario(cluster)
{
    /// <summary>The silence has been noticed, and the time that it must last is nearly over.</summary>
    [Fact]
    public async Task Operators_killed_in_the_middle_of_a_failover() =>
        await KillOperatorsAsync(_ => Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(2200, 2800))));

    /// <summary>The record names the new primary, which may not know yet.</summary>
    [Fact]
    public async Task Operators_killed_as_the_record_has_changed() =>
        await KillOperatorsAsync(watch => Eventually.TrueAsync(
            () => watch.Output.Contains("\n2 ", StringComparison.Ordinal), "the record changes"));

    private async Task KillOperatorsAsync(Func<RunningTool, Task> moment)
    {
        Volume volume = await VolumeAsync();
        await using Writer old = volume.WriterOn(volume.Primary);
        await using Writer successor = volume.WriterOn(volume.Secondary);
        await using RunningTool watch = RunningTool.Start(
            await KubePrograms.PathOfAsync("kubectl"),
            ["--kubeconfig", Site.Kubeconfig, "get", "rvol", volume.Name, "-w", "-o", "jsonpath={.status.term} {.status.phase}{'\\n'}"]);
        await Eventually.TrueAsync(() => watch.Output.Contains("1 Protected", StringComparison.Ordinal), "the watch has begun");
        OperatorProcesses operators = await OperatorProcesses.FindAsync(Cluster.Nodes.Where(node => node != volume.Primary));

        long killed = 0;
        TimeSpan silent = await TakeoverAsync(old, successor, async () =>
        {
            await volume.Primary.KillAsync();
            await moment(watch);
            await operators.KillAsync();
            killed = Stopwatch.GetTimestamp();
        });
        Notes.Add("operators killed after", Stopwatch.GetElapsedTime(old.LastAnswer!.Value, killed));
        Notes.Add("kill of the node to first answer on the other node", silent);

        await volume.Primary.BootAsync();
        await volume.WaitStatusAsync("currentSecondary", volume.Primary.Name);
        await volume.WaitProtectedAsync();
        await successor.DisposeAsync();
        await old.DisposeAsync();
        await volume.ProveAsync();
    }

    [Fact]
    public async Task Api_server_away_and_then_the_secondary_lost()
    {
        Volume volume = await VolumeAsync();
        await using Writer guest = volume.WriterOn(volume.Primary);
        await guest.ProgressAsync(500, Patience.Step);
        guest.ForgetGap();

        await Cluster.StopApiServerAsync();
        try
        {
            await Task.Delay(TimeSpan.FromSeconds(12));
            Notes.Add("longest silence without an API server", guest.LongestGap);
            guest.LongestGap.ShouldBeLessThan(TimeSpan.FromSeconds(2), "I/O goes on without an API server");

            await volume.Secondary.KillAsync();
            await WritesHoldAsync(guest);
        }
        finally
        {
            await Cluster.StartApiServerAsync();
        }

        long start = Stopwatch.GetTimestamp();
        await guest.ProgressAsync(500, Patience.Step);
        Notes.Add("API server back to writes going on", Stopwatch.GetElapsedTime(start));

        await volume.Secondary.BootAsync();
        await volume.WaitProtectedAsync();
        (await volume.StatusAsync("currentPrimary")).ShouldBe(volume.Primary.Name);
        await guest.DisposeAsync();
        await volume.ProveAsync();
    }

    /// <summary>Without the arbiter nobody may note that the secondary misses writes, so none is acknowledged.</summary>
    private static async Task WritesHoldAsync(Writer guest)
    {
        // Past the peer's timeout, within which a write may still be waiting for the secondary.
        await Task.Delay(TimeSpan.FromSeconds(5));
        long before = guest.Acknowledged;
        await Task.Delay(TimeSpan.FromSeconds(8));
        guest.Acknowledged.ShouldBe(before, "a write was acknowledged that only one node has, and nobody knows");
    }
}
