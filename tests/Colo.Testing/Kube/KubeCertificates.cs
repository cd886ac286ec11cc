using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Colo.Testing.Kube;

/// <summary>
/// One test cluster's own certificate authority. Keys are elliptic (P-256): making one costs milliseconds. A client certificate's
/// common name is the user, its organizations are the groups, as Kubernetes reads them.
/// </summary>
public sealed class KubeCertificates : IDisposable
{
    private static readonly Oid ServerUse = new("1.3.6.1.5.5.7.3.1");
    private static readonly Oid ClientUse = new("1.3.6.1.5.5.7.3.2");

    /// <summary>A machine whose clock was just set back must not find a certificate of the future.</summary>
    private static readonly TimeSpan Backdated = TimeSpan.FromDays(1);
    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(30);

    private readonly X509Certificate2 authority;

    public KubeCertificates()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=colo-test-ca", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        authority = request.CreateSelfSigned(DateTimeOffset.UtcNow - Backdated, DateTimeOffset.UtcNow + Lifetime);
    }

    public string AuthorityPem => authority.ExportCertificatePem();

    public X509Certificate2 Authority => authority;

    /// <summary>For a server on that address, and on the loopback.</summary>
    public PemPair IssueServer(string name, IPAddress address, params string[] dnsNames)
    {
        SubjectAlternativeNameBuilder names = new();
        if (!address.Equals(IPAddress.Loopback))
        {
            names.AddIpAddress(address);
        }

        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        foreach (string dnsName in dnsNames)
        {
            names.AddDnsName(dnsName);
        }

        return Issue(new X500DistinguishedName($"CN={name}"), ServerUse, names.Build());
    }

    public PemPair IssueClient(string user, params IReadOnlyList<string> groups)
    {
        X500DistinguishedNameBuilder subject = new();
        foreach (string group in groups)
        {
            subject.AddOrganizationName(group);
        }

        subject.AddCommonName(user);
        return Issue(subject.Build(), ClientUse, null);
    }

    public void Dispose() => authority.Dispose();

    private PemPair Issue(X500DistinguishedName subject, Oid use, X509Extension? names)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([use], false));
        if (names is not null)
        {
            request.CertificateExtensions.Add(names);
        }

        // The leading zero bit keeps the serial number positive.
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        serial[0] &= 0x7f;
        using X509Certificate2 certificate = request.Create(authority, new DateTimeOffset(authority.NotBefore), new DateTimeOffset(authority.NotAfter), serial);
        return new(certificate.ExportCertificatePem(), key.ExportECPrivateKeyPem());
    }
}

/// <summary>A certificate and its key, as PEM texts.</summary>
public sealed record PemPair(string Certificate, string Key);
