using Colo.Agent.Volumes;
using Colo.Linux;
using Colo.Nbd.Server;
using Colo.Replication;
using Colo.Testing;

namespace Colo.Conformance.Tests.QemuReplication;

/// <summary>Our secondary: raw disk, qcow2 buffers, NBD server; in this process, so that a failure shows its stack.</summary>
internal sealed class ColoSecondarySide : ISecondarySide
{
    private static readonly Term Term = new(1);

    private readonly RawFile disk;
    private readonly SecondaryReplica replica;
    private readonly NbdServer server;

    private ColoSecondarySide(RawFile disk, SecondaryReplica replica, string diskPath, string socket)
    {
        (this.disk, this.replica, DiskPath, NbdSocket) = (disk, replica, diskPath, socket);
        server = new NbdServer(
            new NbdServerOptions { Listeners = [new NbdListener.Unix(socket)] },
            new NbdExportTable(
                new NbdExport(ForwardExport, replica.OpenTarget(Term)),
                new NbdExport(ViewExport, replica.VmView),
                new NbdExport(PromotedExport, replica.ServingDevice)));
    }

    public string DiskPath { get; }

    public string NbdSocket { get; }

    public string ForwardExport => "secondary";

    public string ViewExport => "view";

    public string PromotedExport => "promoted";

    public static async Task<ColoSecondarySide> LaunchAsync(TempDirectory directory, long lengthBytes)
    {
        string path = directory.File("colo-secondary.raw");
        RawFile disk = RawFile.Create(path, lengthBytes);
        SecondaryReplica replica = await SecondaryReplica.OpenAsync(
            new SecondaryReplicaOptions { Uid = new VolumeUid("pair"), Buffer = new BufferPolicy(4 * lengthBytes, BufferFullPolicy.Detach) },
            disk,
            new EpochStore(directory.File("colo-buffer"), path, lengthBytes),
            new MemoryTermStore(),
            Term,
            TimeProvider.System);
        ColoSecondarySide side = new(disk, replica, path, directory.File("colo-secondary.nbd"));
        await side.server.StartAsync();
        return side;
    }

    public async Task StartAsync() => await replica.StartAsync(Term, filling: false);

    public async Task CheckpointAsync() => await replica.CheckpointAsync(Term);

    public async Task FailoverAsync()
    {
        await replica.StopAsync(Term, failover: true, RecoveryPoint.LastCheckpoint);
        (await replica.CommitCompletion).ShouldBeTrue();
    }

    public async Task CloseAsync() => await DisposeAsync();

    public async ValueTask DisposeAsync()
    {
        await server.DisposeAsync();
        await replica.DisposeAsync();
        await disk.DisposeAsync();
    }
}
