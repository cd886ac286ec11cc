using System.Security.Cryptography.X509Certificates;
using Colo.Agent.Options;

namespace Colo.Agent.Hosting;

/// <summary>
/// The agent's certificate, key and authority, re-read when their files change: rotation needs no restart. One instance serves gRPC and
/// the replication connections, both ways. A set that does not load leaves the former one in use.
/// </summary>
public sealed class CertificateFiles(TlsOptions options, ILogger<CertificateFiles> log)
{
    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(5);

    private readonly Lock guard = new();
    private Loaded? current;
    private long checkedAt;

    public bool IsEnabled => options.IsEnabled;

    private sealed record Loaded(X509Certificate2 Certificate, X509Certificate2Collection Roots, DateTime Stamp);

    public X509Certificate2 Certificate => Current().Certificate;

    public X509Certificate2Collection Authorities => Current().Roots;

    /// <summary>True where <paramref name="peer"/> chains to the configured authority. Names are not compared: membership is the
    /// authority's word, and volumes are guarded by terms.</summary>
    public bool IsTrusted(X509Certificate2? peer)
    {
        if (peer is null)
        {
            return false;
        }

        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(Current().Roots);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(peer);
    }

    private Loaded Current()
    {
        lock (guard)
        {
            if (current is not null && TimeProvider.System.GetElapsedTime(checkedAt) < CheckInterval)
            {
                return current;
            }

            checkedAt = TimeProvider.System.GetTimestamp();
            try
            {
                DateTime stamp = Newest();
                if (current is null || stamp != current.Stamp)
                {
                    current = Load(stamp);
                }
            }
            catch (Exception e) when (current is not null && e is IOException or System.Security.Cryptography.CryptographicException)
            {
                log.CertificateNotReloaded(options.CertificateFile, e.Message);
            }

            return current!;
        }
    }

    private DateTime Newest() =>
        new[] { options.CertificateFile, options.KeyFile, options.CaFile }.Max(File.GetLastWriteTimeUtc);

    private Loaded Load(DateTime stamp)
    {
        X509Certificate2Collection roots = [];
        roots.ImportFromPemFile(options.CaFile);
        return new(X509Certificate2.CreateFromPemFile(options.CertificateFile, options.KeyFile), roots, stamp);
    }
}
