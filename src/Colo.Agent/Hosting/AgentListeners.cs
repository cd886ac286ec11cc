using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Colo.Agent.Options;
using Colo.Agent.Service;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Colo.Agent.Hosting;

/// <summary>gRPC on HTTP/2 (mutual TLS over TCP where configured; a unix socket is guarded by its directory), metrics on HTTP/1.1 apart
/// from it: gRPC refuses HTTP/1.1, so the metrics port cannot steer volumes.</summary>
public static class AgentListeners
{
    public static void AddAgentListeners(this WebApplicationBuilder builder, AgentOptions options)
    {
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            ListenerLimits.Apply(kestrel.Limits);
            ListenerRefusals refusals = kestrel.ApplicationServices.GetRequiredService<ListenerRefusals>();
            CertificateFiles certificates = kestrel.ApplicationServices.GetRequiredService<CertificateFiles>();
            PeerNames peers = kestrel.ApplicationServices.GetRequiredService<PeerNames>();
            BoundAddresses addresses = kestrel.ApplicationServices.GetRequiredService<BoundAddresses>();
            foreach (string text in options.GrpcListen.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                ListenAddress address = ListenAddress.Parse(text);
                Listen(kestrel, address, listen =>
                {
                    listen.Protocols = HttpProtocols.Http2;
                    listen.LimitConnections(ListenerLimits.GrpcConnections, refusals);
                    if (options.Tls.IsEnabled && address.Tcp is not null)
                    {
                        listen.UseHttps(Mutual(certificates, peers));
                    }

                    // Its port is known once it is bound.
                    addresses.OfferGrpc(address.UnixPath is null
                        ? () => AdvertisedAddress.Of(options.GrpcAdvertise, listen.IPEndPoint!, options.AdvertiseIp)
                        : address.ToString,
                        isTcp: address.Tcp is not null);
                });
            }

            Listen(kestrel, ListenAddress.Parse(options.MetricsListen), listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                listen.LimitConnections(ListenerLimits.MetricsConnections, refusals);
            });
        });
    }

    private static void Listen(KestrelServerOptions kestrel, ListenAddress address, Action<ListenOptions> configure)
    {
        if (address.UnixPath is { } path)
        {
            // A socket file that a killed agent left behind; the replicas' own locks guard against a second live agent.
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.Delete(path);
            kestrel.ListenUnixSocket(path, configure);
        }
        else
        {
            kestrel.Listen(address.Tcp!, configure);
        }
    }

    /// <summary>Asked for each handshake, so that a renewed certificate counts from the next connection on.</summary>
    private static TlsHandshakeCallbackOptions Mutual(CertificateFiles certificates, PeerNames peers) => new()
    {
        HandshakeTimeout = ListenerLimits.TlsHandshake,
        OnConnection = connection =>
        {
            CertificateSet set = certificates.Current;
            string address = connection.Connection.RemoteEndPoint?.ToString() ?? "unknown";
            return new(new SslServerAuthenticationOptions
            {
                ServerCertificateContext = set.Context,
                ClientCertificateRequired = true,
                CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                RemoteCertificateValidationCallback = (_, peer, chain, _) =>
                {
                    string? distrust = set.Distrust(peer as X509Certificate2, chain?.ChainPolicy.ExtraStore);
                    if (distrust is not null)
                    {
                        peers.Refused(PeerNames.Grpc, address, distrust);
                    }

                    return distrust is null;
                },
            });
        },
    };
}
