using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Colo.AgentApi;
using Colo.Operator.Options;

namespace Colo.Operator.Tls;

/// <summary>Signs the certificates of agents with the installation's authority, read anew for each: it is asked a few times a quarter.</summary>
internal sealed class AgentAuthority(SigningFiles files, TimeProvider time)
{
    /// <summary>Long enough for an outage of weeks (agents ask again after two thirds), short enough that a lost key ends.</summary>
    private static readonly TimeSpan Lifetime = TimeSpan.FromDays(90);

    /// <summary>Of clocks of two nodes.</summary>
    private static readonly TimeSpan Skew = TimeSpan.FromMinutes(5);

    private const int SerialBytes = 16;

    /// <returns>The certificate in PEM: for that node's agent, and nothing that the request said.</returns>
    /// <exception cref="CryptographicException">the authority's files are none.</exception>
    /// <exception cref="IOException">they cannot be read.</exception>
    public string Sign(PublicKey key, string node)
    {
        using X509Certificate2 authority = X509Certificate2.CreateFromPemFile(files.CertificateFile, files.KeyFile);
        CertificateRequest request = new(new X500DistinguishedName($"CN={CertificateNames.Agent}"), key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName(AgentCertificates.NameOf(node));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new("1.3.6.1.5.5.7.3.1"), new("1.3.6.1.5.5.7.3.2")], critical: false));
        if (authority.Extensions.OfType<X509SubjectKeyIdentifierExtension>().Any())
        {
            request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        }

        DateTimeOffset now = time.GetUtcNow(), end = now + Lifetime, last = new(authority.NotAfter);
        if (last <= now)
        {
            throw new CryptographicException($"the authority of {files.CertificateFile} was valid until {last.UtcDateTime:u}");
        }

        // Positive, and never one that was given before.
        byte[] serial = RandomNumberGenerator.GetBytes(SerialBytes);
        serial[0] = (byte)((serial[0] & 0x7f) | 1);
        using X509Certificate2 signed = request.Create(authority.SubjectName, GeneratorOf(authority), now - Skew, end < last ? end : last, serial);
        return signed.ExportCertificatePem() + "\n";
    }

    private static X509SignatureGenerator GeneratorOf(X509Certificate2 authority) =>
        authority.GetECDsaPrivateKey() is { } ec ? X509SignatureGenerator.CreateForECDsa(ec)
        : authority.GetRSAPrivateKey() is { } rsa ? X509SignatureGenerator.CreateForRSA(rsa, RSASignaturePadding.Pkcs1)
        : throw new CryptographicException("the authority's key is neither ECDSA nor RSA");
}
