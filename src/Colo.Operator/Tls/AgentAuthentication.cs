using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Colo.Operator.Tls;

/// <summary>Mutual TLS to agents. Names are not compared: membership is the authority's word, and volumes are guarded by terms.</summary>
public static class AgentAuthentication
{
    public static SslClientAuthenticationOptions Create(CertificateFiles files, TimeProvider time) => new()
    {
        // Asked at each handshake: a rotated certificate is taken up by the next connection.
        LocalCertificateSelectionCallback = (_, _, _, _, _) => files.Certificate,
        RemoteCertificateValidationCallback = (_, presented, _, _) => Judge(presented as X509Certificate2, files, time),
    };

    /// <exception cref="AuthenticationException">in place of a mere "no": it says which certificate, and what is wrong with it.</exception>
    private static bool Judge(X509Certificate2? presented, CertificateFiles files, TimeProvider time)
    {
        if (presented is null)
        {
            throw new AuthenticationException("the agent presents no certificate");
        }

        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(files.Authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(presented) ? true : throw new AuthenticationException(Why(presented, chain, time.GetUtcNow().UtcDateTime));
    }

    private static string Why(X509Certificate2 presented, X509Chain chain, DateTime now)
    {
        string who = $"the agent's certificate ({presented.Subject})";
        DateTime from = presented.NotBefore.ToUniversalTime();
        DateTime until = presented.NotAfter.ToUniversalTime();
        return until < now ? $"{who} has expired on {until:u}"
            : from > now ? $"{who} is not valid before {from:u}"
            : $"{who} is not of the authority that the operator trusts ({string.Join(", ", chain.ChainStatus.Select(s => s.Status))})";
    }
}
