using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Testing;

namespace Colo.Conformance.Tests.ServerSide;

/// <summary>Our server on a unix socket with one export, and the URI that real clients reach it by.</summary>
internal sealed class ServedDisk : IAsyncDisposable
{
    private readonly NbdServer server;

    private ServedDisk(NbdExport export, NbdServerTls? tls)
    {
        Directory = new TempDirectory(onTmpfs: true);
        Socket = Directory.File("nbd.sock");
        Export = export;
        server = new(new() { Listeners = [new NbdListener.Unix(Socket)], Tls = tls }, new NbdExportTable(export));
    }

    public TempDirectory Directory { get; }

    public string Socket { get; }

    public NbdExport Export { get; }

    /// <summary>As libnbd and qemu spell it.</summary>
    public string Uri => $"nbd+unix:///{Export.Name}?socket={Socket}";

    public static async Task<ServedDisk> StartAsync(NbdExport export, NbdServerTls? tls = null)
    {
        ServedDisk served = new(export, tls);
        await served.server.StartAsync();
        return served;
    }

    public static Task<ServedDisk> StartAsync(IBlockDevice device) => StartAsync(new NbdExport("disk", device));

    public async ValueTask DisposeAsync()
    {
        await server.DisposeAsync();
        Directory.Dispose();
    }
}
