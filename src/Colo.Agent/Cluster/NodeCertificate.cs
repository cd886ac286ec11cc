using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Colo.Agent.Hosting;
using Colo.Agent.Options;
using Colo.AgentApi;
using Colo.Linux;
using k8s;
using k8s.Autorest;
using k8s.Models;

namespace Colo.Agent.Cluster;

/// <summary>
/// Where --tls-signer says so: asks the cluster's certificate API for a certificate of this node's agent, with a key that never leaves the
/// node, and asks again after two thirds of its time. Nothing listens before there is one; one that is there and good needs no API server.
/// </summary>
/// <remarks>The key is written before the certificate, and each by a rename: between the two the set does not load, and whoever reads it
/// (<see cref="CertificateFiles"/>) keeps the former one, or asks here anew at the next start.</remarks>
public sealed class NodeCertificate(
    ClusterAccess cluster, AgentOptions options, TimeProvider time, ILogger<NodeCertificate> log) : BackgroundService
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan CheckInterval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>A request that nobody has answered for so long is made anew: its signer may have lost it.</summary>
    private static readonly TimeSpan AnswerBound = TimeSpan.FromMinutes(1);

    private readonly TlsOptions tls = options.Tls;
    private string complaint = "";

    private string Name => AgentCertificates.NameOf(options.NodeName);

    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        while (tls.AsksForCertificate && DueReason() is { } reason && !await TryRenewAsync(reason, cancellationToken))
        {
            await Task.Delay(RetryInterval, time, cancellationToken);
        }

        await base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!tls.AsksForCertificate)
        {
            return;
        }

        using PeriodicTimer timer = new(CheckInterval, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            if (DueReason() is { } reason)
            {
                await TryRenewAsync(reason, stoppingToken);
            }
        }
    }

    /// <summary>Why another certificate is asked for; null: the present one is good for a while.</summary>
    private string? DueReason()
    {
        try
        {
            CertificateSet present = CertificateSet.Parse(
                "", File.ReadAllText(tls.CertificatePath), File.ReadAllText(tls.KeyPath), File.ReadAllText(tls.CaPath));
            TimeSpan lifetime = present.NotAfter - present.Leaf.NotBefore.ToUniversalTime();
            return RefusalOf(present) ?? (present.NotAfter - lifetime / 3 < time.GetUtcNow().UtcDateTime ? $"it ends at {present.NotAfter:u}" : null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            return e is FileNotFoundException or DirectoryNotFoundException ? "there is none yet" : e.Message;
        }
    }

    private string? RefusalOf(CertificateSet set) =>
        set.Distrust(set.Leaf, set.Intermediates) ?? CertificateNames.Refusal(set.Leaf, [CertificateNames.Agent], options.NodeName, subjectRequired: true);

    private async Task<bool> TryRenewAsync(string reason, CancellationToken token)
    {
        try
        {
            await RenewAsync(token);
            log.CertificateGiven(Name, reason);
            complaint = "";
            return true;
        }
        catch (Exception e) when (!token.IsCancellationRequested
            && e is HttpOperationException or HttpRequestException or IOException or UnauthorizedAccessException or CryptographicException
                or OperationCanceledException or TimeoutException)
        {
            string message = e is HttpOperationException { Response: { } answer } ? $"{(int)answer.StatusCode} {answer.Content}" : e.GetBaseException().Message;
            if (complaint != message)
            {
                complaint = message;
                log.CertificateNotGiven(Name, reason, message);
            }

            return false;
        }
    }

    private async Task RenewAsync(CancellationToken token)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        string keyPem = key.ExportPkcs8PrivateKeyPem();
        string certificate = await AskAsync(key, token);

        // Looked at before it replaces one that may be better.
        CertificateSet given = CertificateSet.Parse("", certificate, keyPem, await File.ReadAllTextAsync(tls.CaPath, token));
        if (RefusalOf(given) is { } refusal)
        {
            throw new CryptographicException($"the certificate that was given is not used: {refusal}");
        }

        PrivateFile.Replace(tls.KeyPath, keyPem);
        PrivateFile.Replace(tls.CertificatePath, certificate);
    }

    /// <returns>PEM.</returns>
    private async Task<string> AskAsync(ECDsa key, CancellationToken token)
    {
        CertificateRequest request = new($"CN={CertificateNames.Agent}", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName(Name);
        request.CertificateExtensions.Add(names.Build());
        V1CertificateSigningRequest asked = await cluster.Client.CertificatesV1.CreateCertificateSigningRequestAsync(
            new()
            {
                Metadata = new() { GenerateName = $"colo-agent-{options.NodeName.ToLowerInvariant()}-" },
                Spec = new()
                {
                    Request = Encoding.ASCII.GetBytes(request.CreateSigningRequestPem()),
                    SignerName = tls.Signer,
                    Usages = [.. AgentCertificates.Usages],
                },
            },
            cancellationToken: token);
        long start = time.GetTimestamp();
        while (time.GetElapsedTime(start) < AnswerBound)
        {
            await Task.Delay(PollInterval, time, token);
            V1CertificateSigningRequest now = await cluster.Client.CertificatesV1.ReadCertificateSigningRequestAsync(asked.Metadata.Name, cancellationToken: token);
            if (now.Status?.Certificate is { Length: > 0 } certificate)
            {
                return Encoding.ASCII.GetString(certificate);
            }

            if (now.Status?.Conditions?.FirstOrDefault(c => c.Type is "Denied" or "Failed") is { } verdict)
            {
                throw new CryptographicException($"{verdict.Type}: {verdict.Message} (CertificateSigningRequest {asked.Metadata.Name})");
            }
        }

        throw new TimeoutException($"nobody signed the CertificateSigningRequest {asked.Metadata.Name} within {AnswerBound.TotalSeconds:0} s: does the operator run?");
    }
}
