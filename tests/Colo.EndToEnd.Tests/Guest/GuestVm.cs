using System.Diagnostics;
using System.Globalization;
using Colo.Testing;

namespace Colo.EndToEnd.Tests.Guest;

/// <summary>
/// A QEMU guest whose only disk is an NBD export. Emulated (TCG): no need for KVM, and a boot takes some ten seconds. It holds its
/// I/O while the server is away (reconnect-delay), and stops rather than fails a write (werror=stop). Disposing it kills it.
/// </summary>
internal sealed class GuestVm : IAsyncDisposable
{
    /// <summary>A hang detector for each step of the guest, generous enough for an emulated machine on a busy host.</summary>
    private static readonly TimeSpan StepTimeout = TimeSpan.FromMinutes(4);

    private readonly RunningTool qemu;

    private GuestVm(RunningTool qemu) => this.qemu = qemu;

    /// <summary>All that the guest's kernel and init script said on the serial console.</summary>
    public string Console => qemu.Output;

    /// <param name="files">How many files the guest writes before it verifies and powers off.</param>
    public static GuestVm Start(GuestInitramfs boot, string nbdSocket, string export, int files)
    {
        string append = string.Create(CultureInfo.InvariantCulture, $"console=ttyS0 quiet panic=-1 guest.files={files}");
        return new GuestVm(RunningTool.Start(
            "qemu-system-x86_64",
            [
                "-M", "pc", "-accel", "tcg", "-m", "256", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
                "-kernel", boot.KernelPath, "-initrd", boot.InitramfsPath, "-append", append,
                "-blockdev", $"driver=nbd,node-name=disk,server.type=unix,server.path={nbdSocket},export={export},reconnect-delay=120",
                "-device", "virtio-blk-pci,drive=disk,werror=stop,rerror=stop",
            ]));
    }

    /// <summary>Waits until the guest has said it; fails at once where the guest failed or QEMU ended without having said it.</summary>
    public async Task WaitForAsync(string line)
    {
        long start = Stopwatch.GetTimestamp();
        while (!Console.Contains("GUEST " + line, StringComparison.Ordinal))
        {
            bool ended = qemu.Process.HasExited && !Console.Contains("GUEST " + line, StringComparison.Ordinal);
            if (ended || Console.Contains("GUEST failed", StringComparison.Ordinal) || Stopwatch.GetElapsedTime(start) > StepTimeout)
            {
                throw new InvalidOperationException($"the guest never said '{line}'\n{Console}\n{qemu.Error}");
            }

            await Task.Delay(50);
        }
    }

    /// <summary>Waits until the guest has powered itself off.</summary>
    public async Task WaitForPowerOffAsync() => (await qemu.WaitAsync(StepTimeout)).EnsureSuccess();

    public ValueTask DisposeAsync() => qemu.DisposeAsync();
}
