using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.EndToEnd.Tests.Guest;

/// <summary>A guest whose disk is a replicated volume, while the agents behind it die and come back.</summary>
public sealed class ColoGuestTests : IDisposable
{
    /// <summary>Long enough that the guest runs into the outage and waits.</summary>
    private static readonly TimeSpan Outage = TimeSpan.FromSeconds(1);

    /// <summary>Enough that the guest still writes when the agent dies; half a megabyte each.</summary>
    private const int Files = 60;

    private readonly TempDirectory directory = new(onTmpfs: true);

    [Fact]
    public async Task A_guest_lives_through_the_death_and_restart_of_its_agent_and_finds_all_data()
    {
        await using ColoLocal colo = await UpAsync("Manual");
        await using GuestVm guest = await BootAsync(colo);
        await guest.WaitForAsync("wrote 3");

        colo.KillAgent(colo.Primary);
        await Task.Delay(Outage);
        guest.Console.ShouldNotContain($"GUEST wrote {Files}", customMessage: "the guest was done before the agent died");
        await colo.StartAgentAsync(colo.Primary);

        await guest.WaitForAsync($"verified {Files} files");
        await guest.WaitForPowerOffAsync();
        await FileSystemIsCleanAsync(colo);
        await colo.WaitAsync("--for", "Protected", "--timeout", "60s");
        await BothReplicasAreEqualAsync(colo);
    }

    [Fact]
    public async Task A_guest_lives_through_a_failover_to_the_other_node_and_finds_all_data()
    {
        await using ColoLocal colo = await UpAsync("Automatic");
        string first = colo.Primary;
        string second = colo.Secondary;
        await using GuestVm guest = await BootAsync(colo);
        await guest.WaitForAsync("wrote 3");

        colo.KillAgent(first);
        await colo.WaitAsync("--serving", "--primary", second, "--timeout", "60s");

        await guest.WaitForAsync($"verified {Files} files");
        await guest.WaitForPowerOffAsync();
        await FileSystemIsCleanAsync(colo);
    }

    public void Dispose() => directory.Dispose();

    private Task<ColoLocal> UpAsync(string failover) => ColoLocal.UpAsync(
        directory.File("colo"),
        64 << 20,
        $$"""
          checkpoint: {interval: 0}
          failover: {policy: {{failover}}, recoveryPoint: LatestWrite, heartbeatTimeout: 1s}
        """);

    private async Task<GuestVm> BootAsync(ColoLocal colo)
    {
        string image = directory.File("empty.ext4");
        (await Tool.RunAsync("/sbin/mke2fs", "-q", "-t", "ext4", image, "64M")).EnsureSuccess();
        (await Tool.RunAsync("nbdcopy", "--flush", image, colo.GuestUri)).EnsureSuccess();
        return GuestVm.Start(await GuestInitramfs.BuildAsync(directory), colo.GuestSocket, colo.GuestExport, Files);
    }

    private async Task FileSystemIsCleanAsync(ColoLocal colo)
    {
        string copy = directory.File("after.ext4");
        (await Tool.RunAsync("nbdcopy", colo.GuestUri, copy)).EnsureSuccess();
        (await Tool.RunAsync("/sbin/e2fsck", "-fn", copy)).EnsureSuccess();
    }

    private static async Task BothReplicasAreEqualAsync(ColoLocal colo)
    {
        await colo.CheckpointAsync();
        await colo.RefreshAsync();
        (await Tool.RunAsync("qemu-img", "compare", "-f", "raw", "-F", "raw", colo.GuestUri, colo.SecondaryViewUri)).EnsureSuccess();
    }
}
