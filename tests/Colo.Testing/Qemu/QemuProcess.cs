using System.Globalization;
using System.Text.Json.Nodes;

namespace Colo.Testing.Qemu;

/// <summary>
/// A qemu-system without machine or guest: only its block layer, its NBD server and the COLO commands, driven over QMP. This is
/// how QEMU's own replication runs where no guest is wanted. Disposing it kills it.
/// </summary>
public sealed class QemuProcess : IAsyncDisposable
{
    private readonly RunningTool tool;

    private QemuProcess(RunningTool tool, QmpClient qmp, string secondControlSocket)
    {
        this.tool = tool;
        Qmp = qmp;
        SecondControlSocket = secondControlSocket;
    }

    public QmpClient Qmp { get; }

    /// <summary>A second QMP monitor, for a program under test: each takes one client at a time, and <see cref="Qmp"/> stays connected.</summary>
    public string SecondControlSocket { get; }

    public int Pid => tool.Pid;

    /// <param name="controlSocket">Path of the QMP socket to make; under 108 bytes, as every unix socket.</param>
    public static async Task<QemuProcess> StartAsync(string controlSocket)
    {
        string second = controlSocket + "2";
        RunningTool tool = RunningTool.Start(
            "qemu-system-x86_64",
            [
                "-M", "none", "-accel", "tcg", "-display", "none", "-nodefaults", "-no-user-config", "-S",
                "-qmp", $"unix:{controlSocket},server=on,wait=off", "-qmp", $"unix:{second},server=on,wait=off",
            ]);
        try
        {
            return new QemuProcess(
                tool, await QmpClient.ConnectAsync(controlSocket, () => tool.Process.HasExited ? tool.Error + " (exited)" : ""), second);
        }
        catch
        {
            await tool.DisposeAsync();
            throw;
        }
    }

    public Task AddNodeAsync(JsonObject options) => Qmp.ExecuteAsync("blockdev-add", options);

    public Task ServeAsync(string nbdSocket) =>
        Qmp.ExecuteAsync("nbd-server-start", new() { ["addr"] = new JsonObject { ["type"] = "unix", ["data"] = new JsonObject { ["path"] = nbdSocket } } });

    public Task ServeTcpAsync(int port) =>
        Qmp.ExecuteAsync("nbd-server-start", new() { ["addr"] = new JsonObject { ["type"] = "inet", ["data"] = Inet(port) } });

    public Task ExportAsync(string nodeName, string exportName) =>
        Qmp.ExecuteAsync("block-export-add", new()
        {
            ["type"] = "nbd",
            ["id"] = "export-" + exportName,
            ["node-name"] = nodeName,
            ["name"] = exportName,
            ["writable"] = true,
        });

    /// <summary>Starts (or, with <paramref name="enable"/> false, stops) every replication node of the process.</summary>
    public Task SetReplicationAsync(bool enable, bool primary, bool failover = false)
    {
        JsonObject arguments = new() { ["enable"] = enable, ["primary"] = primary };
        if (!enable)
        {
            arguments["failover"] = failover;
        }

        return Qmp.ExecuteAsync("xen-set-replication", arguments);
    }

    public Task CheckpointAsync() => Qmp.ExecuteAsync("xen-colo-do-checkpoint");

    /// <summary>Whether any replication node has latched an error since the last checkpoint.</summary>
    public async Task<bool> HasReplicationErrorAsync() =>
        (await Qmp.ExecuteAsync("query-xen-replication-status")).GetProperty("error").GetBoolean();

    /// <summary>Ends it in an orderly way: caches flushed, files closed, so that they can be compared.</summary>
    public async Task QuitAsync()
    {
        await Qmp.ExecuteAsync("quit");
        await tool.WaitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await Qmp.DisposeAsync();
        await tool.DisposeAsync();
    }

    internal static JsonObject Inet(int port) => new() { ["host"] = "127.0.0.1", ["port"] = port.ToString(CultureInfo.InvariantCulture) };

    /// <summary>A raw file as a node. The file node has a name of its own that nothing refers to.</summary>
    internal static JsonObject RawFile(string nodeName, string path, string aio) => new()
    {
        ["driver"] = "raw",
        ["node-name"] = nodeName,
        ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = path, ["aio"] = aio },
    };

    /// <summary>The quorum that QEMU's COLO puts on top: reads from the first child, one good write is enough.</summary>
    internal static JsonObject Quorum(string nodeName, string child) => new()
    {
        ["driver"] = "quorum",
        ["node-name"] = nodeName,
        ["read-pattern"] = "fifo",
        ["vote-threshold"] = 1,
        ["children"] = new JsonArray(child),
    };
}
