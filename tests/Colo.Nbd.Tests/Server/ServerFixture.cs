using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

/// <summary>A running server on a unix socket, and clients to it.</summary>
internal sealed class ServerFixture : IAsyncDisposable
{
    private readonly TempDirectory directory = new();
    private readonly List<RawClient> clients = [];

    private ServerFixture(NbdServerOptions options, INbdExportProvider exports)
    {
        Path = directory.File("nbd.sock");
        Server = new(options with { Listeners = [new NbdListener.Unix(Path)] }, exports);
    }

    public NbdServer Server { get; }

    public string Path { get; }

    public static async Task<ServerFixture> StartAsync(INbdExportProvider exports, NbdServerOptions? options = null)
    {
        ServerFixture fixture = new(options ?? new() { BusyPoll = TimeSpan.Zero }, exports);
        await fixture.Server.StartAsync();
        return fixture;
    }

    public static Task<ServerFixture> StartAsync(NbdExport export, NbdServerOptions? options = null) =>
        StartAsync(new NbdExportTable(export), options);

    public static Task<ServerFixture> StartAsync(IBlockDevice device, NbdServerOptions? options = null) =>
        StartAsync(new NbdExport(string.Empty, device), options);

    public RawClient Connect()
    {
        RawClient client = new(Path);
        clients.Add(client);
        return client;
    }

    /// <summary>Connected and through GO, simple replies unless asked otherwise.</summary>
    public RawClient Open(bool structured = false, bool extended = false, params string[] contexts) =>
        Connect().Greet().Go(string.Empty, structured, extended, contexts);

    public async ValueTask DisposeAsync()
    {
        foreach (RawClient client in clients)
        {
            client.Dispose();
        }

        await Server.DisposeAsync();
        directory.Dispose();
    }
}
