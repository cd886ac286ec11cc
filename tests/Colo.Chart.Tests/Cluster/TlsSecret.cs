using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Colo.Chart.Tests.Render;

namespace Colo.Chart.Tests.Cluster;

/// <summary>A Secret with tls.crt, tls.key and ca.crt, as the operator and the agents mount it.</summary>
internal sealed record TlsSecret(string CertificatePem, string KeyPem, string AuthorityPem)
{
    private const string ServerUse = "1.3.6.1.5.5.7.3.1";
    private const string ClientUse = "1.3.6.1.5.5.7.3.2";

    public string Thumbprint => X509Certificate2.CreateFromPem(CertificatePem).Thumbprint;

    public static TlsSecret Of(IEnumerable<Manifest> manifests, string role) =>
        Of(manifests.Single(m => m.Kind == "Secret" && m.Name == $"colo-operator-{role}-tls").Content);

    public static TlsSecret Of(JsonNode secret) => new(Text(secret, "tls.crt"), Text(secret, "tls.key"), Text(secret, "ca.crt"));

    /// <summary>Key and certificate fit, the authority vouches for them, as server and as client, under that name.</summary>
    public void ShouldBeUsableAs(string dnsName)
    {
        using X509Certificate2 certificate = X509Certificate2.CreateFromPem(CertificatePem, KeyPem);
        using X509Certificate2 authority = X509Certificate2.CreateFromPem(AuthorityPem);
        certificate.HasPrivateKey.ShouldBeTrue();
        certificate.MatchesHostname(dnsName, allowWildcards: false, allowCommonName: false).ShouldBeTrue(dnsName);
        foreach (string use in new[] { ServerUse, ClientUse })
        {
            using X509Chain chain = new();
            chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            chain.ChainPolicy.CustomTrustStore.Add(authority);
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            chain.ChainPolicy.ApplicationPolicy.Add(new System.Security.Cryptography.Oid(use));
            chain.Build(certificate).ShouldBeTrue(string.Join("; ", chain.ChainStatus.Select(s => s.StatusInformation)));
        }
    }

    private static string Text(JsonNode secret, string key) => Encoding.UTF8.GetString(Convert.FromBase64String((string)secret["data"]![key]!));
}
