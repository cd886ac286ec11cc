using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Colo.Driver;

/// <summary>Mutual TLS to agents. The certificate and the authority are asked for at each handshake: rotation needs no restart.</summary>
public static class AgentTls
{
    /// <param name="name">The DNS name that an agent's certificate must carry; null: any. Addresses are not compared: agents move.</param>
    public static SslClientAuthenticationOptions Create(
        Func<X509Certificate2> certificate, Func<X509Certificate2Collection> authorities, string? name = null) => new()
    {
        LocalCertificateSelectionCallback = (_, _, _, _, _) => certificate(),

        // By an exception, not by false: its message reaches whoever made the call, and from there a person.
        RemoteCertificateValidationCallback = (_, presented, _, _) =>
            Refusal(presented as X509Certificate2, authorities(), name) is { } refusal ? throw new AuthenticationException(refusal) : true,
    };

    /// <summary>Null: it is trusted.</summary>
    private static string? Refusal(X509Certificate2? presented, X509Certificate2Collection authorities, string? name)
    {
        if (presented is null)
        {
            return "the agent presents no certificate";
        }

        string who = $"the agent's certificate ({presented.Subject})";
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        if (!chain.Build(presented))
        {
            X509ChainStatusFlags flags = chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (all, s) => all | s.Status);
            return flags == X509ChainStatusFlags.NotTimeValid
                ? $"{who} is valid from {presented.NotBefore.ToUniversalTime():u} to {presented.NotAfter.ToUniversalTime():u}, not now"
                : $"{who} is not of the authority that is trusted here ({flags})";
        }

        return name is null || presented.MatchesHostname(name) ? null : $"{who} is not for {name}";
    }
}
