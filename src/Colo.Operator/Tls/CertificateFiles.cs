using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Colo.Driver;
using Colo.Operator.Options;

namespace Colo.Operator.Tls;

/// <summary>
/// The operator's certificate, key and authority, re-read when their content changes: rotation needs no restart. A set that does not load
/// leaves the former one in use.
/// </summary>
public sealed class CertificateFiles
{
    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(5);

    private readonly TlsFiles files;
    private readonly TimeProvider time;
    private readonly ILogger<CertificateFiles> log;
    private readonly Lock guard = new();
    private Loaded current;
    private long checkedAt;

    /// <exception cref="CryptographicException">the files are no certificate, key and authority.</exception>
    public CertificateFiles(TlsFiles files, TimeProvider time, ILogger<CertificateFiles> log)
    {
        this.files = files;
        this.time = time;
        this.log = log;
        current = Load(Read());
        checkedAt = time.GetTimestamp();
    }

    private sealed record Loaded(X509Certificate2 Certificate, X509Certificate2Collection Authorities, string Content);

    public X509Certificate2 Certificate => Current().Certificate;

    public X509Certificate2Collection Authorities => Current().Authorities;

    /// <summary>How agents are spoken to with what is current at each handshake.</summary>
    public AgentTls ForAgents() => new()
    {
        Certificate = () => Certificate,
        Authorities = () => Authorities,
        AgentNames = files.AgentNames,
        NodeNamesRequired = files.NodeNamesRequired,
    };

    private Loaded Current()
    {
        lock (guard)
        {
            if (time.GetElapsedTime(checkedAt) < CheckInterval)
            {
                return current;
            }

            checkedAt = time.GetTimestamp();
            try
            {
                // By content: in a mounted secret the files are links whose own times never change.
                string content = Read();
                if (content != current.Content)
                {
                    current = Load(content);
                    log.CertificateReloaded(files.CertificateFile, current.Certificate.NotAfter.ToUniversalTime());
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
            {
                log.CertificateNotReloaded(files.CertificateFile, e.Message);
            }

            return current;
        }
    }

    private string Read() => string.Join('\0', File.ReadAllText(files.CertificateFile), File.ReadAllText(files.KeyFile), File.ReadAllText(files.CaFile));

    private static Loaded Load(string content)
    {
        string[] parts = content.Split('\0');
        X509Certificate2Collection authorities = [];
        authorities.ImportFromPem(parts[2]);
        return new(X509Certificate2.CreateFromPem(parts[0], parts[1]), authorities, content);
    }
}
