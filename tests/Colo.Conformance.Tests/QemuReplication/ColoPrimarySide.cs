using Colo.Blocks;
using Colo.Linux;
using Colo.Nbd.Client;
using Colo.Nbd.Server;
using Colo.Replication;
using Colo.Testing;

namespace Colo.Conformance.Tests.QemuReplication;

/// <summary>Our primary: raw disk, quorum, NBD client towards the secondary; in this process.</summary>
internal sealed class ColoPrimarySide : IPrimarySide
{
    private static readonly VolumeUid Uid = new("pair");
    private static readonly Term Term = new(1);

    private readonly RawFile disk;
    private readonly PrimaryReplica replica;
    private readonly NbdServer server;

    private ColoPrimarySide(RawFile disk, PrimaryReplica replica, string diskPath, string socket)
    {
        (this.disk, this.replica, DiskPath, NbdSocket) = (disk, replica, diskPath, socket);
        server = new NbdServer(
            new NbdServerOptions { Listeners = [new NbdListener.Unix(socket)] },
            new NbdExportTable(new NbdExport(Export, replica)));
    }

    public string DiskPath { get; }

    public string NbdSocket { get; }

    public string Export => "disk";

    public static async Task<ColoPrimarySide> LaunchAsync(TempDirectory directory, long lengthBytes)
    {
        string path = directory.File("colo-primary.raw");
        RawFile disk = RawFile.Create(path, lengthBytes);
        PrimaryReplica replica = await PrimaryReplica.OpenAsync(
            new PrimaryReplicaOptions { Uid = Uid, Node = "first", Term = Term },
            disk,
            new MemoryArbiter(new VolumeRecord(Uid, Term, "first", "second", SecondaryState.InSync, Revision: 1)),
            new MemoryTermStore(),
            TimeProvider.System);
        ColoPrimarySide side = new(disk, replica, path, directory.File("colo-primary.nbd"));
        await side.server.StartAsync();
        return side;
    }

    public async Task ReplicateToAsync(ISecondarySide secondary)
    {
        NbdClientDevice device = await NbdClient.ConnectAsync(
            new NbdClientOptions { Endpoint = NbdEndpoint.Unix(secondary.NbdSocket, secondary.ForwardExport) });
        await replica.StartAsync(Term, new DrainedLink(device, secondary.CheckpointAsync), ResyncMode.None);
    }

    public async Task CheckpointAsync() => await replica.CheckpointAsync(Term);

    public async Task CloseAsync() => await DisposeAsync();

    public async ValueTask DisposeAsync()
    {
        await server.DisposeAsync();
        await replica.DisposeAsync();
        await disk.DisposeAsync();
    }

    /// <summary>A link to a peer that cannot carry checkpoints on its connection: the primary drains, then the peer is told aside.</summary>
    private sealed class DrainedLink(NbdClientDevice device, Func<Task> checkpoint) : ForwardingBlockDevice(device), IReplicationLink
    {
        public string PeerNode => "second";

        public bool CarriesCheckpoints => false;

        public async ValueTask<BlockStatus> CheckpointAsync(long epoch)
        {
            await checkpoint();
            return BlockStatus.Ok;
        }
    }
}
