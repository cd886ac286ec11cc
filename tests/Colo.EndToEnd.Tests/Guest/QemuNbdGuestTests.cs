using Colo.Testing;
using Colo.Testing.Qemu;

namespace Colo.EndToEnd.Tests.Guest;

/// <summary>The guest against QEMU's own NBD server: where this fails the guest is at fault, not our server.</summary>
public sealed class QemuNbdGuestTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);

    [Fact]
    public async Task A_guest_boots_writes_and_verifies_on_qemu_nbd()
    {
        string disk = directory.File("disk.raw");
        RawDisk.CreateIfMissing(disk, 64 << 20);
        (await Tool.RunAsync("/sbin/mke2fs", "-q", "-t", "ext4", disk)).EnsureSuccess();
        GuestInitramfs boot = await GuestInitramfs.BuildAsync(directory);
        string socket = directory.File("nbd.sock");
        await using RunningTool server = RunningTool.Start("qemu-nbd", ["-f", "raw", "-t", "-k", socket, "-x", "disk", disk]);
        await Eventually.TrueAsync(() => File.Exists(socket), "qemu-nbd's socket");

        await using GuestVm guest = GuestVm.Start(boot, socket, "disk", files: 4);
        await guest.WaitForAsync("verified 4 files");
        await guest.WaitForPowerOffAsync();

        (await Tool.RunAsync("/sbin/e2fsck", "-fn", disk)).EnsureSuccess();
    }

    public void Dispose() => directory.Dispose();
}
