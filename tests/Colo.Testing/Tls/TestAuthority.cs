using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Colo.Testing.Tls;

/// <summary>A certificate authority of a test, and directories of tls.crt, tls.key and ca.crt as a mounted secret has them.</summary>
public sealed class TestAuthority : IDisposable
{
    public const string AgentName = "colo-agent";
    public const string OperatorName = "colo-operator";
    public const string GuestName = "colo-guest";

    private static readonly DateTimeOffset Begin = DateTimeOffset.UtcNow.AddDays(-30);

    private readonly X509Certificate2 authority;

    public TestAuthority(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, true));
        authority = request.CreateSelfSigned(Begin, DateTimeOffset.UtcNow.AddDays(30));
    }

    public string Pem => authority.ExportCertificatePem();

    public string KeyPem => authority.GetECDsaPrivateKey()!.ExportECPrivateKeyPem();

    public X509Certificate2 Issue(string dnsName, bool expired = false, string? more = null)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={dnsName}", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        foreach (string name in new[] { dnsName, more }.OfType<string>())
        {
            names.AddDnsName(name);
        }

        request.CertificateExtensions.Add(names.Build());
        byte[] serial = RandomNumberGenerator.GetBytes(12);
        serial[0] = 1;
        DateTimeOffset end = expired ? DateTimeOffset.UtcNow.AddDays(-1) : DateTimeOffset.UtcNow.AddDays(10);
        using X509Certificate2 certificate = request.Create(authority, Begin, end, serial);
        return certificate.CopyWithPrivateKey(key);
    }

    /// <summary>Writes the directory as the kubelet does: the files are links through ..data, which is what changes.</summary>
    public async Task MountAsync(string directory, string dnsName, bool expired = false)
    {
        using X509Certificate2 certificate = Issue(dnsName, expired);
        string content = $"..{Guid.NewGuid():N}";
        string there = Directory.CreateDirectory(Path.Combine(directory, content)).FullName;
        await File.WriteAllTextAsync(Path.Combine(there, "tls.crt"), certificate.ExportCertificatePem());
        await File.WriteAllTextAsync(Path.Combine(there, "tls.key"), certificate.GetECDsaPrivateKey()!.ExportECPrivateKeyPem());
        await File.WriteAllTextAsync(Path.Combine(there, "ca.crt"), Pem);
        string link = Path.Combine(directory, "..data.new");
        File.CreateSymbolicLink(link, content);

        // .NET takes the link for the directory that it leads to; rename(2) does not.
        (await Tool.RunAsync("mv", "-T", link, Path.Combine(directory, "..data"))).EnsureSuccess();
        foreach (string name in new[] { "tls.crt", "tls.key", "ca.crt" })
        {
            if (!File.Exists(Path.Combine(directory, name)))
            {
                File.CreateSymbolicLink(Path.Combine(directory, name), Path.Combine("..data", name));
            }
        }
    }

    public void Dispose() => authority.Dispose();
}
