using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Colo.AgentApi;

namespace Colo.Driver;

/// <summary>
/// Mutual TLS to agents: each must show a certificate of the authority, and one that is for its node (<see cref="CertificateNames"/>).
/// Certificate and authority are asked for at each handshake: rotation needs no restart. Addresses are not compared: agents move.
/// </summary>
public sealed record AgentTls
{
    /// <summary>Our own, with its key.</summary>
    public required Func<X509Certificate2> Certificate { get; init; }

    public required Func<X509Certificate2Collection> Authorities { get; init; }

    /// <summary>DNS names of which an agent's certificate must carry one, alone or with its node's name in front; *: any.</summary>
    public IReadOnlyList<string> AgentNames { get; init; } = [CertificateNames.Agent];

    /// <summary>Refuses certificates that name no node.</summary>
    public bool NodeNamesRequired { get; init; }

    /// <summary>For connections to the agent of that node, and no other.</summary>
    public SslClientAuthenticationOptions For(string node) => new()
    {
        LocalCertificateSelectionCallback = (_, _, _, _, _) => Certificate(),

        // By an exception, not by false: its message reaches whoever made the call, and from there a person.
        RemoteCertificateValidationCallback = (_, presented, sent, _) =>
            Refusal(presented as X509Certificate2, sent?.ChainPolicy.ExtraStore ?? [], node) is { } refusal ? throw new AuthenticationException(refusal) : true,
    };

    /// <summary>Why nobody who trusts the same authority can believe our own certificate now; null: nothing is known against it. The other
    /// side of a handshake only hangs up: this is how its reason becomes words here.</summary>
    public string? OwnFault()
    {
        X509Certificate2 own = Certificate();
        return Distrust(own, [], $"this side's own certificate ({own.Subject})");
    }

    private string? Refusal(X509Certificate2? presented, X509Certificate2Collection sentAlong, string node)
    {
        if (presented is null)
        {
            return "the agent presents no certificate";
        }

        string who = $"the agent's certificate ({presented.Subject})";
        return Distrust(presented, sentAlong, who)
            ?? (CertificateNames.Refusal(presented, AgentNames, node, NodeNamesRequired) is { } refusal ? $"{who} is not for {node}: {refusal}" : null);
    }

    private string? Distrust(X509Certificate2 certificate, X509Certificate2Collection sentAlong, string who)
    {
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(Authorities());
        chain.ChainPolicy.ExtraStore.AddRange(sentAlong);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        if (chain.Build(certificate))
        {
            return null;
        }

        X509ChainStatusFlags flags = chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (all, s) => all | s.Status);
        return flags == X509ChainStatusFlags.NotTimeValid
            ? $"{who} is valid from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u}, not now"
            : $"{who} is not of the authority that is trusted here ({flags})";
    }
}
