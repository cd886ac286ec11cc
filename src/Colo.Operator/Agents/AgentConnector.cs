using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Colo.Driver;
using Colo.Operator.Tls;

namespace Colo.Operator.Agents;

/// <summary>Makes connections to agents.</summary>
public interface IAgentConnector
{
    /// <param name="refused">Called when this side refuses the agent's certificate, with the reason for people.</param>
    AgentConnection Connect(string address, Action<string> refused);
}

/// <summary>Plain connections: where no TLS is configured.</summary>
public sealed class PlainAgentConnector : IAgentConnector
{
    public AgentConnection Connect(string address, Action<string> refused) => new(address);
}

/// <summary>Mutual TLS. Names are not compared: membership is the authority's word, and volumes are guarded by terms.</summary>
public sealed class TlsAgentConnector(CertificateFiles files) : IAgentConnector
{
    public AgentConnection Connect(string address, Action<string> refused) => new(address, new SslClientAuthenticationOptions
    {
        // Asked at each handshake: a rotated certificate is taken up by the next connection.
        LocalCertificateSelectionCallback = (_, _, _, _, _) => files.Certificate,
        RemoteCertificateValidationCallback = (_, presented, _, _) => Judge(presented as X509Certificate2, refused),
    });

    private bool Judge(X509Certificate2? presented, Action<string> refused)
    {
        if (presented is null)
        {
            refused("the agent presents no certificate");
            return false;
        }

        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(files.Authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        if (chain.Build(presented))
        {
            return true;
        }

        refused(Why(presented, chain));
        return false;
    }

    private static string Why(X509Certificate2 presented, X509Chain chain)
    {
        string who = $"the agent's certificate ({presented.Subject})";
        DateTime until = presented.NotAfter.ToUniversalTime();
        return until < DateTime.UtcNow ? $"{who} has expired on {until:u}"
            : presented.NotBefore.ToUniversalTime() > DateTime.UtcNow ? $"{who} is not valid before {presented.NotBefore.ToUniversalTime():u}"
            : $"{who} is not of the authority that the operator trusts ({string.Join(", ", chain.ChainStatus.Select(s => s.Status))})";
    }
}
