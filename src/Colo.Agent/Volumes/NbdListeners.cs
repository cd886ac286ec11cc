using System.Net;
using Colo.Agent.Hosting;
using Colo.Agent.Options;
using Colo.Agent.Service;
using Colo.Linux;
using Colo.Nbd.Server;

namespace Colo.Agent.Volumes;

/// <summary>
/// The node's NBD listeners: one for replication, one (where configured) for guests over TCP, and one unix socket for each disk that is
/// served. Owns the servers, not the exports: whoever gave an export closes it.
/// </summary>
public sealed class NbdListeners(
    AgentOptions options,
    CertificateFiles certificates,
    PeerNames peers,
    ReplicationExports replication,
    BoundAddresses bound,
    ILogger<NbdServer> log) : IAsyncDisposable
{
    /// <summary>What the kernel can tell in whole seconds.</summary>
    private const int ShortestSilence = 2000;

    /// <summary>Room for half-open peers and for a primary that reconnects before its former connection is seen dead.</summary>
    private const int NbdHeadroom = 64;

    /// <summary>QEMU opens up to 16 connections a disk.</summary>
    private const int ConnectionsPerGuest = 16;

    /// <summary>A primary has one; those that it lost, and nobody has seen dead yet, count too.</summary>
    private const int ConnectionsPerTarget = 16;

    private NbdServer? replicationServer;
    private NbdServer? guestServer;

    /// <summary>What is served to guests over TCP, and to whom.</summary>
    public GuestExports Guests { get; } = new(peers);

    /// <summary>Of a guest's URI over TCP.</summary>
    public string GuestScheme => GuestTlsRequired ? "nbds" : "nbd";

    private bool GuestTlsRequired => options.GuestTls == "required" || (options.GuestTls == "auto" && certificates.IsEnabled);

    public async Task StartAsync(CancellationToken token)
    {
        Directory.CreateDirectory(options.SocketDirectory);
        replicationServer = new(
            new NbdServerOptions
            {
                Listeners = [new NbdListener.Tcp(ListenAddress.Parse(options.ReplicationListen).Tcp!)],
                Tls = certificates.IsEnabled ? Mutual(PeerNames.Replication) : null,
                MaxConnections = options.Limits.MaxVolumes + NbdHeadroom,
                MaxConnectionsPerExport = ConnectionsPerTarget,

                // What tells a dead primary from a slow control path: a secondary that has lost its connection says so.
                PeerSilence = TimeSpan.FromMilliseconds(Math.Max(options.Limits.PeerTimeoutMilliseconds, ShortestSilence)),
            },
            replication,
            log);
        await replicationServer.StartAsync(token);
        bound.Replication = AdvertisedAddress.Of(
            options.ReplicationAdvertise, (IPEndPoint)replicationServer.Endpoints[0], options.AdvertiseIp);
        if (options.GuestListen.Length > 0)
        {
            guestServer = new(
                new NbdServerOptions
                {
                    Listeners = [new NbdListener.Tcp(ListenAddress.Parse(options.GuestListen).Tcp!)],
                    Tls = GuestTlsRequired ? Mutual(PeerNames.Guest) : null,
                    MaxConnections = options.Limits.MaxVolumes * ConnectionsPerGuest,

                    // Twice: a guest that reconnects after a cut of the network is not kept out by its own former connections.
                    MaxConnectionsPerExport = 2 * ConnectionsPerGuest,
                },
                Guests,
                log);
            await guestServer.StartAsync(token);
            bound.Guest = AdvertisedAddress.Of("", (IPEndPoint)guestServer.Endpoints[0], options.AdvertiseIp);
        }
    }

    /// <summary>Serves one disk on a unix socket of its own; the socket's path is what a guest keeps over restarts.</summary>
    public async Task<NbdServer> ServeUnixAsync(string socketPath, NbdExport export, CancellationToken token)
    {
        NbdServer server = new(
            new NbdServerOptions
            {
                Listeners = [GuestSocket(socketPath)],
            },
            new NbdExportTable(export),
            log);
        try
        {
            await server.StartAsync(token);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Takes no new primaries and guests over TCP; those connected are drained.</summary>
    public async Task StopAsync(TimeSpan drain)
    {
        foreach (NbdServer? server in new[] { guestServer, replicationServer })
        {
            if (server is not null)
            {
                await server.StopAsync(drain);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (NbdServer? server in new[] { guestServer, replicationServer })
        {
            if (server is not null)
            {
                await server.DisposeAsync();
            }
        }
    }

    private NbdListener.Unix GuestSocket(string path)
    {
        NbdListener.Unix socket = new(path, GuestSockets.ParseMode(options.GuestSocketMode)!.Value);
        return GuestSockets.ParseGroup(options.GuestSocketGroup) is { } group
            ? socket with { Bound = bound => FileGroup.Change(bound, group) }
            : socket;
    }

    private NbdServerTls Mutual(string where) => new()
    {
        Mode = NbdTlsMode.Required,
        Certificate = () => certificates.Current.Leaf,
        Intermediates = () => certificates.Current.Intermediates,
        ClientAuthorities = () => certificates.Current.Authorities,
        Refused = (peer, reason) => peers.Refused(where, peer.Address, reason),
    };
}
