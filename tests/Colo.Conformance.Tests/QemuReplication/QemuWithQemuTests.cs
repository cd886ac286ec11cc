using Colo.Testing;
using Colo.Testing.Qemu;

namespace Colo.Conformance.Tests.QemuReplication;

/// <summary>
/// The reference: QEMU's primary with QEMU's secondary, through the same steps as the mixed pairs. Where this fails, the harness
/// is at fault, not we.
/// </summary>
public sealed class QemuWithQemuTests : IDisposable
{
    private const long Length = 16 << 20;

    private readonly TempDirectory directory = new(onTmpfs: true);

    [Fact]
    public async Task The_view_keeps_the_old_content_until_the_checkpoint()
    {
        await using QemuSecondary secondary = await QemuSecondary.LaunchAsync(directory.Path, Length);
        await using QemuPrimary primary = await QemuPrimary.LaunchAsync(directory.Path, Length);
        await secondary.StartAsync();
        await primary.StartAsync(secondary.NbdSocket, QemuSecondary.ForwardExport);
        QemuIo guest = new(primary.NbdSocket, QemuPrimary.GuestExport);
        QemuIo view = new(secondary.NbdSocket, QemuSecondary.ViewExport);

        await guest.WriteAsync(0, 1 << 20, 0x11);
        await view.VerifyAsync(0, 1 << 20, 0);

        await primary.CheckpointAsync();
        await secondary.CheckpointAsync();
        await view.VerifyAsync(0, 1 << 20, 0x11);

        await guest.WriteAsync(4096, 8192, 0x22);
        await view.VerifyAsync(0, 1 << 20, 0x11);
        (await primary.Process.HasReplicationErrorAsync()).ShouldBeFalse();
        (await secondary.Process.HasReplicationErrorAsync()).ShouldBeFalse();
    }

    [Fact]
    public async Task Failover_brings_the_secondary_disk_back_to_the_last_checkpoint()
    {
        await using QemuSecondary secondary = await QemuSecondary.LaunchAsync(directory.Path, Length);
        await using (QemuPrimary primary = await QemuPrimary.LaunchAsync(directory.Path, Length))
        {
            await secondary.StartAsync();
            await primary.StartAsync(secondary.NbdSocket, QemuSecondary.ForwardExport);
            QemuIo guest = new(primary.NbdSocket, QemuPrimary.GuestExport);
            await guest.WriteAsync(0, 1 << 20, 0x11);
            await primary.CheckpointAsync();
            await secondary.CheckpointAsync();
            await guest.WriteAsync(512 << 10, 1 << 20, 0x22);
        }

        await secondary.FailoverAsync();
        QemuIo view = new(secondary.NbdSocket, QemuSecondary.ViewExport);
        await view.VerifyAsync(0, 1 << 20, 0x11);
        await view.VerifyAsync(1 << 20, 512 << 10, 0);
        await secondary.Process.QuitAsync();

        byte[] disk = await File.ReadAllBytesAsync(secondary.DiskPath);
        disk.AsSpan(0, 1 << 20).IndexOfAnyExcept((byte)0x11).ShouldBe(-1);
        disk.AsSpan(1 << 20).IndexOfAnyExcept((byte)0).ShouldBe(-1);
    }

    public void Dispose() => directory.Dispose();
}
