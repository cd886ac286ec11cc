using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Colo.Testing;

namespace Colo.Conformance.Tests.RealServers;

/// <summary>A certificate authority of one test's own, in the files that QEMU, nbdkit and libnbd look for.</summary>
internal sealed class TestPki : IDisposable
{
    private readonly TempDirectory directory = new();
    private readonly ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 authority;

    public TestPki()
    {
        CertificateRequest request = new("CN=Test authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllText(directory.File("ca-cert.pem"), authority.ExportCertificatePem());
        Issue("server", "1.3.6.1.5.5.7.3.1");
        Issue("client", "1.3.6.1.5.5.7.3.2");
    }

    public string Directory => directory.Path;

    public void RemoveClientCertificate()
    {
        File.Delete(directory.File("client-cert.pem"));
        File.Delete(directory.File("client-key.pem"));
    }

    public void Dispose()
    {
        authority.Dispose();
        key.Dispose();
        directory.Dispose();
    }

    private void Issue(string name, string usage)
    {
        using ECDsa leafKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=" + name, leafKey, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], critical: true));
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        byte[] serial = RandomNumberGenerator.GetBytes(8);
        serial[0] &= 0x7f;
        using X509Certificate2 certificate = request.Create(
            authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(12), serial);
        File.WriteAllText(directory.File(name + "-cert.pem"), certificate.ExportCertificatePem());
        File.WriteAllText(directory.File(name + "-key.pem"), leafKey.ExportPkcs8PrivateKeyPem());
    }
}
