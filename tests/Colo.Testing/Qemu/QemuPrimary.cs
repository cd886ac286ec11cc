using System.Text.Json.Nodes;

namespace Colo.Testing.Qemu;

/// <summary>
/// QEMU's primary of block replication: a quorum over a local raw disk and an NBD client towards the secondary, exported as
/// <see cref="GuestExport"/> in place of a guest. Owns its process.
/// </summary>
public sealed class QemuPrimary : IAsyncDisposable
{
    public const string GuestExport = "disk";

    private QemuPrimary(QemuProcess process, string diskPath, string nbdSocket)
    {
        Process = process;
        DiskPath = diskPath;
        NbdSocket = nbdSocket;
    }

    public QemuProcess Process { get; }

    public string DiskPath { get; }

    public string NbdSocket { get; }

    /// <summary>Makes the disk, where there is none yet, and serves it, unreplicated.</summary>
    public static async Task<QemuPrimary> LaunchAsync(string directory, long lengthBytes, string aio = "threads")
    {
        string disk = Path.Combine(directory, "qemu-primary.raw");
        RawDisk.CreateIfMissing(disk, lengthBytes);

        QemuProcess process = await QemuProcess.StartAsync(Path.Combine(directory, "qemu-primary.qmp"));
        QemuPrimary primary = new(process, disk, Path.Combine(directory, "qemu-primary.nbd"));
        await process.AddNodeAsync(QemuProcess.RawFile("local", disk, aio));
        await process.AddNodeAsync(QemuProcess.Quorum("top", "local"));
        await process.ServeAsync(primary.NbdSocket);
        await process.ExportAsync("top", GuestExport);
        return primary;
    }

    /// <summary>Connects to a secondary (its NBD socket and export), adds it to the quorum, and starts replication.</summary>
    public Task StartAsync(string secondaryNbdSocket, string secondaryExport) =>
        StartAsync(new JsonObject { ["type"] = "unix", ["path"] = secondaryNbdSocket }, secondaryExport);

    /// <summary>As above, over TCP on this machine.</summary>
    public Task StartAsync(int secondaryPort, string secondaryExport)
    {
        JsonObject server = QemuProcess.Inet(secondaryPort);
        server["type"] = "inet";
        return StartAsync(server, secondaryExport);
    }

    public Task CheckpointAsync() => Process.CheckpointAsync();

    /// <summary>The secondary is lost: goes on alone.</summary>
    public async Task FailoverAsync()
    {
        await Process.SetReplicationAsync(enable: false, primary: true, failover: true);
        await Process.Qmp.ExecuteAsync("x-blockdev-change", new() { ["parent"] = "top", ["child"] = "children.1" });
    }

    public ValueTask DisposeAsync() => Process.DisposeAsync();

    private async Task StartAsync(JsonObject server, string secondaryExport)
    {
        await Process.AddNodeAsync(new()
        {
            ["driver"] = "replication",
            ["node-name"] = "forward",
            ["mode"] = "primary",
            ["file"] = new JsonObject
            {
                ["driver"] = "nbd",
                ["server"] = server,
                ["export"] = secondaryExport,
            },
        });
        await Process.Qmp.ExecuteAsync("x-blockdev-change", new() { ["parent"] = "top", ["node"] = "forward" });
        await Process.SetReplicationAsync(enable: true, primary: true);
    }
}
