namespace Colo.AgentApi;

/// <summary>What an agent asks of the cluster's certificate API (certificates.k8s.io/v1), and the operator signs there.</summary>
public static class AgentCertificates
{
    /// <summary>spec.signerName of a request for the certificate of one node's agent.</summary>
    public const string Signer = "colo.dev/agent";

    /// <summary>spec.usages: an agent is called, and is a client of its secondaries.</summary>
    public static IReadOnlyList<string> Usages { get; } = ["digital signature", "server auth", "client auth"];

    /// <summary>The one DNS name of such a certificate.</summary>
    public static string NameOf(string node) => $"{node}.{CertificateNames.Agent}";
}
