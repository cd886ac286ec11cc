using System.Security.Cryptography.X509Certificates;

namespace Colo.Nbd.Client;

/// <summary>How the client proves who it is, and whom it trusts: only the given authorities, never the machine's store.</summary>
public sealed record NbdTlsClientOptions
{
    /// <summary>The authorities a server's certificate must chain to.</summary>
    public required X509Certificate2Collection TrustedAuthorities { get; init; }

    /// <summary>With its private key; null where the server asks for none.</summary>
    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>Sent along with <see cref="ClientCertificate"/>.</summary>
    public X509Certificate2Collection? Intermediates { get; init; }

    /// <summary>The name the server's certificate must carry; null: the endpoint's host ("localhost" for a unix socket).</summary>
    public string? ServerName { get; init; }

    /// <summary>Off: any name will do as long as the chain is right (one authority a cluster, nodes by address).</summary>
    public bool VerifyServerName { get; init; } = true;

    /// <summary>Where set, asked once the chain is right and in place of the name: null, or why this is not the server that was meant.</summary>
    public Func<X509Certificate2, string?>? ServerRefusal { get; init; }

    /// <summary>Reads ca-cert.pem and, where present, client-cert.pem with client-key.pem: the names QEMU and libnbd use.</summary>
    public static NbdTlsClientOptions FromDirectory(string directory)
    {
        X509Certificate2Collection authorities = [];
        authorities.ImportFromPemFile(Path.Combine(directory, "ca-cert.pem"));
        string certificate = Path.Combine(directory, "client-cert.pem");
        return new NbdTlsClientOptions
        {
            TrustedAuthorities = authorities,
            ClientCertificate = File.Exists(certificate)
                ? X509Certificate2.CreateFromPemFile(certificate, Path.Combine(directory, "client-key.pem"))
                : null,
        };
    }
}
