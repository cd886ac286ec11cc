using System.Text.Json.Nodes;

namespace Colo.Testing.Qemu;

/// <summary>
/// QEMU's secondary of block replication (its docs/block-replication.txt): active disk over hidden disk over secondary disk.
/// Exports <see cref="ForwardExport"/>, the secondary disk that the primary's writes go to, and <see cref="ViewExport"/>, what
/// the secondary VM would see. Owns its process; the files belong to the caller's directory.
/// </summary>
public sealed class QemuSecondary : IAsyncDisposable
{
    public const string ForwardExport = "secondary";
    public const string ViewExport = "view";

    private QemuSecondary(QemuProcess process, string diskPath, string hiddenPath, string nbdSocket)
    {
        Process = process;
        DiskPath = diskPath;
        HiddenPath = hiddenPath;
        NbdSocket = nbdSocket;
    }

    public QemuProcess Process { get; }

    public string DiskPath { get; }

    public string HiddenPath { get; }

    public string NbdSocket { get; }

    /// <summary>Makes the disk, where there is none yet, and empty buffers; serves, but does not start replication.</summary>
    /// <param name="directory">For disk, buffers and sockets.</param>
    /// <param name="lengthBytes">Of the disk.</param>
    /// <param name="tcpPort">Serve on this loopback port in place of the unix socket.</param>
    /// <param name="aio">QEMU's word for how files are read and written.</param>
    /// <param name="bufferDirectory">For hidden and active disk, where they are to lie elsewhere.</param>
    public static async Task<QemuSecondary> LaunchAsync(
        string directory, long lengthBytes, int? tcpPort = null, string aio = "threads", string? bufferDirectory = null)
    {
        string disk = Path.Combine(directory, "qemu-secondary.raw");
        string hidden = Path.Combine(bufferDirectory ?? directory, "qemu-hidden.qcow2");
        string active = Path.Combine(bufferDirectory ?? directory, "qemu-active.qcow2");
        RawDisk.CreateIfMissing(disk, lengthBytes);
        foreach (string overlay in (string[])[hidden, active])
        {
            (await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", overlay, $"{lengthBytes}")).EnsureSuccess();
        }

        QemuProcess process = await QemuProcess.StartAsync(Path.Combine(directory, "qemu-secondary.qmp"));
        QemuSecondary secondary = new(process, disk, hidden, Path.Combine(directory, "qemu-secondary.nbd"));
        await process.AddNodeAsync(QemuProcess.RawFile("disk", disk, aio));
        await process.AddNodeAsync(new()
        {
            ["driver"] = "replication",
            ["node-name"] = "replication",
            ["mode"] = "secondary",
            ["top-id"] = "top",
            ["file"] = Overlay("active", active, aio, Overlay("hidden", hidden, aio, "disk")),
        });
        await process.AddNodeAsync(QemuProcess.Quorum("top", "replication"));
        await (tcpPort is { } port ? process.ServeTcpAsync(port) : process.ServeAsync(secondary.NbdSocket));
        await process.ExportAsync("disk", ForwardExport);
        await process.ExportAsync("top", ViewExport);
        return secondary;
    }

    /// <summary>Empties the buffers and begins copy-before-write. The secondary starts before the primary.</summary>
    public Task StartAsync() => Process.SetReplicationAsync(enable: true, primary: false);

    /// <summary>Drops what was buffered: the VM view becomes the secondary disk.</summary>
    public Task CheckpointAsync() => Process.CheckpointAsync();

    /// <summary>Begins to commit the VM view into the secondary disk, and waits for that job's end.</summary>
    public async Task FailoverAsync()
    {
        await Process.SetReplicationAsync(enable: false, primary: false, failover: true);
        await Eventually.TrueAsync(
            async () => (await Process.Qmp.ExecuteAsync("query-block-jobs")).GetArrayLength() == 0,
            "the end of QEMU's failover commit");
    }

    public ValueTask DisposeAsync() => Process.DisposeAsync();

    private static JsonObject Overlay(string nodeName, string path, string aio, JsonNode backing) => new()
    {
        ["driver"] = "qcow2",
        ["node-name"] = nodeName,
        ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = path, ["aio"] = aio },
        ["backing"] = backing,
    };
}
