using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Colo.Operator.Options;
using Colo.Operator.Tls;
using Colo.Testing;
using k8s.Models;

namespace Colo.Operator.Tests;

/// <summary>Which requests for a certificate are refused, and what is in one that is given.</summary>
public sealed class AgentRequestTests : IDisposable
{
    private const string Account = "system:serviceaccount:colo-system:colo-operator-agent";
    private readonly TempDirectory directory = new();
    private readonly ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    [Fact]
    public void The_agent_of_its_node_is_given_what_it_asks_for() => RefusalOf(Asked("n1.colo-agent"), PodOn("n1")).ShouldBeNull();

    [Theory]
    [InlineData("n2.colo-agent")]
    [InlineData("colo-agent")]
    [InlineData("colo-operator")]
    [InlineData("n1.colo-agent,colo-operator")]
    [InlineData("")]
    public void Names_that_are_not_its_nodes_alone_are_refused(string names) =>
        RefusalOf(Asked(names), PodOn("n1"))!.ShouldContain("may have a certificate for n1.colo-agent, not for");

    [Fact]
    public void Another_account_is_refused() =>
        RefusalOf(Asked("n1.colo-agent") with { User = "system:serviceaccount:vms:colo-operator-agent" }, PodOn("n1"))!.ShouldContain("certificates of agents are for");

    [Fact]
    public void A_token_of_no_pod_is_refused() => RefusalOf(Asked("n1.colo-agent") with { Pod = null }, PodOn("n1"))!.ShouldContain("not bound to a pod");

    [Fact]
    public void A_pod_that_is_gone_or_came_again_under_its_name_is_refused()
    {
        RefusalOf(Asked("n1.colo-agent"), null)!.ShouldContain("is gone");
        V1Pod another = PodOn("n1");
        another.Metadata.Uid = "another";
        RefusalOf(Asked("n1.colo-agent"), another)!.ShouldContain("is gone");
    }

    [Fact]
    public void A_pod_of_another_account_or_on_no_node_is_refused()
    {
        V1Pod other = PodOn("n1");
        other.Spec.ServiceAccountName = "default";
        RefusalOf(Asked("n1.colo-agent"), other)!.ShouldContain("none of an agent on a node");
        RefusalOf(Asked("n1.colo-agent"), PodOn(""))!.ShouldContain("none of an agent on a node");
    }

    [Fact]
    public void More_usages_than_an_agent_has_are_refused() =>
        RefusalOf(Asked("n1.colo-agent") with { Usages = ["digital signature", "cert sign"] }, PodOn("n1"))!.ShouldContain("and nothing else");

    [Fact]
    public void What_is_no_request_or_is_signed_by_another_key_is_refused()
    {
        RefusalOf(Asked("n1.colo-agent") with { Pem = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----" }, PodOn("n1"))!
            .ShouldContain("no certificate request");
        byte[] der = PemEncoding.TryFind(Asked("n1.colo-agent").Pem, out PemFields found) ? Convert.FromBase64String(Asked("n1.colo-agent").Pem[found.Base64Data]) : [];
        der[^1] ^= 1;
        RefusalOf(Asked("n1.colo-agent") with { Pem = PemEncoding.WriteString("CERTIFICATE REQUEST", der) }, PodOn("n1"))!.ShouldContain("no certificate request");
    }

    /// <summary>Helm makes RSA authorities, openssl in config/tls ECDSA ones.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_signed_certificate_is_the_nodes_and_chains_to_the_authority(bool isRsa)
    {
        using X509Certificate2 authority = Authority(isRsa);
        File.WriteAllText(directory.File("ca.crt"), authority.ExportCertificatePem());
        File.WriteAllText(directory.File("ca.key"), isRsa ? authority.GetRSAPrivateKey()!.ExportRSAPrivateKeyPem() : authority.GetECDsaPrivateKey()!.ExportECPrivateKeyPem());
        AgentAuthority signer = new(new SigningFiles(directory.File("ca.crt"), directory.File("ca.key")), TimeProvider.System);
        AgentRequest asked = AgentRequest.Read(Asked("n1.colo-agent").Spec, Account).Request!;
        using X509Certificate2 given = X509Certificate2.CreateFromPem(signer.Sign(asked.Key, "n1"));

        given.Extensions.OfType<X509SubjectAlternativeNameExtension>().Single().EnumerateDnsNames().ShouldBe(["n1.colo-agent"]);
        given.Extensions.OfType<X509BasicConstraintsExtension>().Single().CertificateAuthority.ShouldBeFalse();
        given.GetECDsaPublicKey()!.ExportSubjectPublicKeyInfo().ShouldBe(key.ExportSubjectPublicKeyInfo());
        given.NotAfter.ShouldBeLessThanOrEqualTo(authority.NotAfter);
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(authority);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.Build(given).ShouldBeTrue();
    }

    public void Dispose()
    {
        key.Dispose();
        directory.Dispose();
    }

    private sealed record Request(string Pem)
    {
        public string User { get; init; } = Account;

        public string? Pod { get; init; } = "agent-1";

        public string[] Usages { get; init; } = ["digital signature", "server auth", "client auth"];

        public V1CertificateSigningRequestSpec Spec => new()
        {
            Request = Encoding.ASCII.GetBytes(Pem),
            SignerName = "colo.dev/agent",
            Username = User,
            Usages = Usages,
            Extra = Pod is null ? new Dictionary<string, IList<string>>(StringComparer.Ordinal) : new Dictionary<string, IList<string>>(StringComparer.Ordinal)
            {
                ["authentication.kubernetes.io/pod-name"] = [Pod],
                ["authentication.kubernetes.io/pod-uid"] = ["uid-1"],
            },
        };
    }

    private Request Asked(string names)
    {
        CertificateRequest request = new("CN=colo-agent", key, HashAlgorithmName.SHA256);
        if (names.Length > 0)
        {
            SubjectAlternativeNameBuilder builder = new();
            foreach (string name in names.Split(','))
            {
                builder.AddDnsName(name);
            }

            request.CertificateExtensions.Add(builder.Build());
        }

        return new(request.CreateSigningRequestPem());
    }

    private static V1Pod PodOn(string node) => new()
    {
        Metadata = new() { Name = "agent-1", Uid = "uid-1" },
        Spec = new() { NodeName = node, ServiceAccountName = "colo-operator-agent" },
    };

    private static string? RefusalOf(Request request, V1Pod? pod)
    {
        (AgentRequest? asked, string refusal) = AgentRequest.Read(request.Spec, Account);
        return asked is null ? refusal : asked.RefusalFor(pod, "colo-operator-agent");
    }

    private static X509Certificate2 Authority(bool isRsa)
    {
        using RSA rsa = RSA.Create(2048);
        using ECDsa ec = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = isRsa
            ? new("CN=colo-ca", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new("CN=colo-ca", ec, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
    }
}
