using Colo.Agent.Options;
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
            CertificateFiles certificates = kestrel.ApplicationServices.GetRequiredService<CertificateFiles>();
            foreach (string text in options.GrpcListen.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
            {
                Listen(kestrel, ListenAddress.Parse(text), listen =>
                {
                    listen.Protocols = HttpProtocols.Http2;
                    if (options.Tls.IsEnabled && ListenAddress.Parse(text).Tcp is not null)
                    {
                        listen.UseHttps(Mutual(certificates));
                    }
                });
            }

            Listen(kestrel, ListenAddress.Parse(options.MetricsListen), listen => listen.Protocols = HttpProtocols.Http1);
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

    private static HttpsConnectionAdapterOptions Mutual(CertificateFiles certificates) => new()
    {
        ServerCertificateSelector = (_, _) => certificates.Certificate,
        ClientCertificateMode = ClientCertificateMode.RequireCertificate,
        ClientCertificateValidation = (peer, _, _) => certificates.IsTrusted(peer),
    };
}
