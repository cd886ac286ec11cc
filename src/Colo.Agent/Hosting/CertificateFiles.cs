using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Colo.Agent.Options;

namespace Colo.Agent.Hosting;

/// <summary>
/// The agent's certificate, key and authority, taken up anew when their files say something else: rotation needs no restart. One instance
/// serves gRPC and the replication connections, both ways. A set that does not load leaves the former one in use.
/// </summary>
/// <remarks>Contents are compared, not times: a mounted secret changes by a link two steps away, whose files' own times say nothing. A
/// set that was replaced stays usable for handshakes under way; there are few of them in the life of a process.</remarks>
public sealed class CertificateFiles(TlsOptions options, TimeProvider time, ILogger<CertificateFiles> log)
{
    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(1);

    private readonly Lock guard = new();
    private CertificateSet? current;
    private string? refused;
    private string complaint = "";
    private long checkedAt;

    public bool IsEnabled => options.IsEnabled;

    /// <summary>What is in use now. Ask for each handshake anew.</summary>
    /// <exception cref="IOException">it was never readable.</exception>
    /// <exception cref="CryptographicException">it was never a certificate, a key and an authority.</exception>
    public CertificateSet Current
    {
        get
        {
            lock (guard)
            {
                if (current is null || time.GetElapsedTime(checkedAt) >= CheckInterval)
                {
                    checkedAt = time.GetTimestamp();
                    current = Refreshed();
                }

                return current;
            }
        }
    }

    private CertificateSet Refreshed()
    {
        try
        {
            string[] texts = [File.ReadAllText(options.CertificatePath), File.ReadAllText(options.KeyPath), File.ReadAllText(options.CaPath)];
            string fingerprint = Convert.ToHexString(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(string.Join('\0', texts))));
            if (current?.Fingerprint == fingerprint || refused == fingerprint)
            {
                return current!;
            }

            refused = current is null ? null : fingerprint;
            CertificateSet loaded = CertificateSet.Parse(fingerprint, texts[0], texts[1], texts[2]);
            (current, refused, complaint) = (loaded, null, "");
            log.CertificateLoaded(loaded.Leaf.Subject, loaded.NotAfter, string.Join(", ", loaded.Authorities.Select(a => a.Subject)));
            if (loaded.NotAfter < time.GetUtcNow().UtcDateTime)
            {
                log.CertificateExpired(loaded.Leaf.Subject, loaded.NotAfter);
            }
        }
        catch (Exception e) when (current is not null && e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            if (complaint != e.Message)
            {
                complaint = e.Message;
                log.CertificateNotReloaded(options.CertificatePath, e.Message);
            }
        }

        return current!;
    }
}

/// <summary>One certificate with its key, what it chains through, and the authorities whose peers are believed.</summary>
public sealed class CertificateSet
{
    private CertificateSet(string fingerprint, X509Certificate2 leaf, X509Certificate2Collection intermediates, X509Certificate2Collection authorities)
    {
        (Fingerprint, Leaf, Intermediates, Authorities) = (fingerprint, leaf, intermediates, authorities);
        Context = SslStreamCertificateContext.Create(leaf, intermediates, offline: true);
    }

    public string Fingerprint { get; }

    public X509Certificate2 Leaf { get; }

    public X509Certificate2Collection Intermediates { get; }

    public DateTime NotAfter => Leaf.NotAfter.ToUniversalTime();

    public X509Certificate2Collection Authorities { get; }

    /// <summary>The leaf as a server's stream wants it: with what it chains through.</summary>
    public SslStreamCertificateContext Context { get; }

    public static CertificateSet Parse(string fingerprint, string certificatePem, string keyPem, string authorityPem)
    {
        X509Certificate2Collection chain = [];
        chain.ImportFromPem(certificatePem);
        X509Certificate2Collection authorities = [];
        authorities.ImportFromPem(authorityPem);
        return authorities.Count > 0
            ? new(fingerprint, X509Certificate2.CreateFromPem(certificatePem, keyPem), [.. chain.Skip(1)], authorities)
            : throw new CryptographicException("the authority's file holds no certificate");
    }

    /// <summary>Why <paramref name="peer"/> is not believed: it does not chain to the authority, or is out of its time. null where it is.</summary>
    public string? Distrust(X509Certificate2? peer, X509Certificate2Collection? sentAlong)
    {
        if (peer is null)
        {
            return "it showed no certificate";
        }

        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(Authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        if (sentAlong is not null)
        {
            chain.ChainPolicy.ExtraStore.AddRange(sentAlong);
        }

        return chain.Build(peer)
            ? null
            : $"{peer.Subject}, issued by {peer.Issuer}, valid until {peer.NotAfter.ToUniversalTime():u}: "
                + string.Join(", ", chain.ChainStatus.Select(s => s.StatusInformation.Trim()).Distinct(StringComparer.Ordinal));
    }
}
