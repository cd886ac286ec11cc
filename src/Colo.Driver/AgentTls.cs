using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Colo.Driver;

/// <summary>Mutual TLS to agents. The certificate and the authority are asked for at each handshake: rotation needs no restart.</summary>
public static class AgentTls
{
    /// <summary>Names are not compared, as the agents do not compare them either: membership is the authority's word, and volumes are
    /// guarded by terms.</summary>
    public static SslClientAuthenticationOptions Create(Func<X509Certificate2> certificate, Func<X509Certificate2Collection> authorities) => new()
    {
        LocalCertificateSelectionCallback = (_, _, _, _, _) => certificate(),
        RemoteCertificateValidationCallback = (_, presented, _, _) => IsTrusted(presented as X509Certificate2, authorities()),
    };

    private static bool IsTrusted(X509Certificate2? presented, X509Certificate2Collection authorities)
    {
        if (presented is null)
        {
            return false;
        }

        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(presented);
    }
}
