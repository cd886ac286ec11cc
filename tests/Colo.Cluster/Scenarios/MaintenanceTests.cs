using System.Diagnostics;
using Colo.Cluster.Lab;
using Colo.Cluster.Load;
using Colo.EndToEnd.Tests.Guest;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Cluster.Scenarios;

/// <summary>What people do on purpose, under load: nothing is lost, and nobody has to wait for long.</summary>
public sealed class MaintenanceTests(KubeCluster cluster) : Scenario(cluster)
{
    private static readonly TimeSpan RolloutTimeout = TimeSpan.FromMinutes(4);

    [Fact]
    public async Task Node_of_the_primary_drained_and_then_switched_off()
    {
        Volume volume = await VolumeAsync(withLeader: true);
        await using Writer old = volume.WriterOn(volume.Primary);
        await using Writer successor = volume.WriterOn(volume.Secondary);
        long start = Stopwatch.GetTimestamp();
        try
        {
            TimeSpan silent = await TakeoverAsync(old, successor, async () =>
            {
                await Cluster.Kubectl.OutputAsync(
                    "drain", volume.Primary.Name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=80s");
                Notes.Add("drain took", Stopwatch.GetElapsedTime(start));
            });
            Notes.Add("switchover: silent for", silent);
            silent.ShouldBeLessThan(Promise);

            await volume.WaitProtectedAsync();
            successor.ForgetGap();
            await volume.Primary.KillAsync();
            await volume.WaitStatusAsync("secondaryState", "Stale");
            await successor.ProgressAsync(500, Patience.Step);
            Notes.Add("drained node switched off: writes held for", successor.LongestGap);
            await volume.Primary.BootAsync();
        }
        finally
        {
            await Cluster.Kubectl.OutputAsync("uncordon", volume.Primary.Name);
        }

        await volume.WaitProtectedAsync();
        await old.DisposeAsync();
        await successor.DisposeAsync();
        await volume.ProveAsync();
    }

    [Fact]
    public async Task Agents_restarted_under_load()
    {
        Volume volume = await VolumeAsync();
        await RollAsync(volume, () => Cluster.Kubectl.OutputAsync("-n", Site.Namespace, "rollout", "restart", "daemonset", AgentSet));
    }

    [Fact]
    public async Task Agents_upgraded_under_a_qemu_guest()
    {
        using TempDirectory directory = new(onTmpfs: true);
        Volume volume = await VolumeAsync();
        string uri = $"nbd+unix:///{volume.Uid}?socket={volume.SocketOn(volume.Primary)}";
        string image = directory.File("empty.ext4");
        (await Tool.RunAsync("/sbin/mke2fs", "-q", "-t", "ext4", image, "64M")).EnsureSuccess();
        (await Tool.RunAsync("nbdcopy", "--flush", image, uri)).EnsureSuccess();

        const int Files = 60;
        await using GuestVm guest = GuestVm.Start(
            await GuestInitramfs.BuildAsync(directory), volume.SocketOn(volume.Primary), volume.Uid, Files);
        await guest.WaitForAsync("wrote 3");
        long start = Stopwatch.GetTimestamp();
        await HelmUpgradeAsync("e2e-next");
        await RolledOutAsync();
        Notes.Add("upgrade took", Stopwatch.GetElapsedTime(start));
        await guest.WaitForAsync($"verified {Files} files");
        await guest.WaitForPowerOffAsync();

        (await volume.StatusAsync("term")).ShouldBe("1", "an upgrade is no reason for a failover");
        string copy = directory.File("after.ext4");
        (await Tool.RunAsync("nbdcopy", uri, copy)).EnsureSuccess();
        (await Tool.RunAsync("/sbin/e2fsck", "-fn", copy)).EnsureSuccess();
    }

    private static string AgentSet => $"{Site.Release}-agent";

    private async Task RollAsync(Volume volume, Func<Task> roll)
    {
        await using Writer guest = volume.WriterOn(volume.Primary);
        await guest.ProgressAsync(500, Patience.Step);
        guest.ForgetGap();
        long start = Stopwatch.GetTimestamp();
        await roll();
        await RolledOutAsync();
        Notes.Add("rollout took", Stopwatch.GetElapsedTime(start));
        await guest.ProgressAsync(500, Patience.Step);
        Notes.Add("longest silence", guest.LongestGap);

        (await volume.StatusAsync("term")).ShouldBe("1", "a restart is no reason for a failover");
        await volume.WaitProtectedAsync();
        await guest.DisposeAsync();
        await volume.ProveAsync();
    }

    private async Task RolledOutAsync() => (await Tool.RunAsync(
        await KubePrograms.PathOfAsync("kubectl"),
        ["--kubeconfig", Site.Kubeconfig, "-n", Site.Namespace, "rollout", "status", "daemonset", AgentSet, "--timeout=200s"],
        RolloutTimeout)).EnsureSuccess();

    private static async Task HelmUpgradeAsync(string tag) => (await Tool.RunAsync(
        await KubePrograms.PathOfAsync("helm"),
        ["--kubeconfig", Site.Kubeconfig, "-n", Site.Namespace, "upgrade", Site.Release, Site.Chart, "--reuse-values", "--set", $"image.tag={tag}"]))
        .EnsureSuccess();
}
