using System.Security.Cryptography.X509Certificates;

namespace Colo.Testing.Kube;

/// <summary>An HTTP client that trusts one authority and nothing else, and shows one certificate.</summary>
internal static class TrustingHttp
{
    /// <summary>A server that is starting may take a connection and answer nothing; the next attempt will do.</summary>
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromSeconds(15);

    public static HttpClient Create(X509Certificate2 authority, PemPair client)
    {
        SocketsHttpHandler handler = new();
        handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            CustomTrustStore = { authority },
        };
        handler.SslOptions.ClientCertificates = [X509Certificate2.CreateFromPem(client.Certificate, client.Key)];
        return new HttpClient(handler) { Timeout = RequestTimeout };
    }
}
