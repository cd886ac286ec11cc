using Colo.Testing;
using Colo.Testing.Qemu;

namespace Colo.Benchmarks.Stacks;

/// <summary>QEMU's COLO block replication, both sides on this machine, as its documentation sets it up.</summary>
internal sealed class QemuReplicatedStack : IReplicatedStack
{
    private readonly QemuSecondary secondary;
    private readonly QemuPrimary primary;

    private QemuReplicatedStack(QemuSecondary secondary, QemuPrimary primary)
    {
        this.secondary = secondary;
        this.primary = primary;
        Target = new NbdTarget(primary.NbdSocket, QemuPrimary.GuestExport);
        ServerPids = [primary.Process.Pid, secondary.Process.Pid];
    }

    public string Name => "qemu";

    public NbdTarget Target { get; }

    public IReadOnlyList<int> ServerPids { get; }

    public bool NeedsStoppedGuest => true;

    public static async Task<QemuReplicatedStack> LaunchAsync(StackPlace place)
    {
        // Over a unix socket, though ours forwards over TCP: QEMU 7.2's forwarding over TCP stalls for tens of milliseconds now and then,
        // and a peer is to be measured at its best.
        QemuSecondary secondary = await QemuSecondary.LaunchAsync(place.Directory, place.LengthBytes, bufferDirectory: place.BufferDirectory);
        QemuPrimary primary = await QemuPrimary.LaunchAsync(place.Directory, place.LengthBytes);
        await secondary.StartAsync();
        await primary.StartAsync(secondary.NbdSocket, QemuSecondary.ForwardExport);
        return new QemuReplicatedStack(secondary, primary);
    }

    public async Task CheckpointAsync()
    {
        await primary.CheckpointAsync();
        await secondary.CheckpointAsync();
    }

    public long BufferBytes() => AllocatedBytes.OfFile(secondary.HiddenPath);

    public async ValueTask DisposeAsync()
    {
        await primary.DisposeAsync();
        await secondary.DisposeAsync();
    }
}
