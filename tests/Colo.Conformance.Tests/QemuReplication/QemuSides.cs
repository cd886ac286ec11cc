using Colo.Testing.Qemu;

namespace Colo.Conformance.Tests.QemuReplication;

internal sealed class QemuPrimarySide(QemuPrimary primary) : IPrimarySide
{
    private ISecondarySide? peer;

    public string DiskPath => primary.DiskPath;

    public string NbdSocket => primary.NbdSocket;

    public string Export => QemuPrimary.GuestExport;

    public Task ReplicateToAsync(ISecondarySide secondary)
    {
        peer = secondary;
        return primary.StartAsync(secondary.NbdSocket, secondary.ForwardExport);
    }

    /// <summary>As QEMU's COLO does it: its own part, then the message to the other side.</summary>
    public async Task CheckpointAsync()
    {
        await primary.CheckpointAsync();
        await peer!.CheckpointAsync();
        (await primary.Process.HasReplicationErrorAsync()).ShouldBeFalse();
    }

    public Task CloseAsync() => primary.Process.QuitAsync();

    public ValueTask DisposeAsync() => primary.DisposeAsync();
}

internal sealed class QemuSecondarySide(QemuSecondary secondary) : ISecondarySide
{
    public string DiskPath => secondary.DiskPath;

    public string NbdSocket => secondary.NbdSocket;

    public string ForwardExport => QemuSecondary.ForwardExport;

    public string ViewExport => QemuSecondary.ViewExport;

    public string PromotedExport => QemuSecondary.ViewExport;

    public Task StartAsync() => secondary.StartAsync();

    public async Task CheckpointAsync()
    {
        await secondary.CheckpointAsync();
        (await secondary.Process.HasReplicationErrorAsync()).ShouldBeFalse();
    }

    public Task FailoverAsync() => secondary.FailoverAsync();

    public Task CloseAsync() => secondary.Process.QuitAsync();

    public ValueTask DisposeAsync() => secondary.DisposeAsync();
}
