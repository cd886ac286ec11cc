using System.Net;
using Colo.Agent.Hosting;
using Colo.Agent.Options;
using Colo.Agent.Service;
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
    private readonly NbdExportTable guests = new();
    private NbdServer? replicationServer;
    private NbdServer? guestServer;

    public async Task StartAsync(CancellationToken token)
    {
        Directory.CreateDirectory(options.SocketDirectory);
        replicationServer = new(
            new NbdServerOptions
            {
                Listeners = [new NbdListener.Tcp(ListenAddress.Parse(options.ReplicationListen).Tcp!)],
                Tls = certificates.IsEnabled
                    ? new()
                    {
                        Mode = NbdTlsMode.Required,
                        Certificate = () => certificates.Current.Leaf,
                        Intermediates = () => certificates.Current.Intermediates,
                        ClientAuthorities = () => certificates.Current.Authorities,
                        Refused = (peer, reason) => peers.Refused(PeerNames.Replication, peer.Address, reason),
                    }
                    : null,
                MaxConnections = options.Limits.MaxVolumes + NbdHeadroom,

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
                    MaxConnections = options.Limits.MaxVolumes * ConnectionsPerGuest,
                },
                guests,
                log);
            await guestServer.StartAsync(token);
            bound.Guest = AdvertisedAddress.Of("", (IPEndPoint)guestServer.Endpoints[0], options.AdvertiseIp);
        }
    }

    /// <summary>What the kernel can tell in whole seconds.</summary>
    private const int ShortestSilence = 2000;

    /// <summary>Room for half-open peers and for a primary that reconnects before its former connection is seen dead.</summary>
    private const int NbdHeadroom = 64;

    /// <summary>QEMU opens up to 16 connections a disk.</summary>
    private const int ConnectionsPerGuest = 16;

    /// <summary>Serves one disk on a unix socket of its own; the socket's path is what a guest keeps over restarts.</summary>
    public async Task<NbdServer> ServeUnixAsync(string socketPath, NbdExport export, CancellationToken token)
    {
        NbdServer server = new(
            new NbdServerOptions
            {
                Listeners = [new NbdListener.Unix(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.GroupWrite)],
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

    public void AddGuest(NbdExport export) => guests.Add(export);

    public void RemoveGuest(NbdExport export) => guests.Remove(export);

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
}
