using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Colo.AgentApi;
using k8s.Models;

namespace Colo.Operator.Tls;

/// <summary>
/// One CertificateSigningRequest of an agent. Who asks is the API server's word (username and the pod of its token); for which node is the
/// pod's: what the request says of itself must only agree.
/// </summary>
internal sealed class AgentRequest
{
    private const string PodName = "authentication.kubernetes.io/pod-name";
    private const string PodUid = "authentication.kubernetes.io/pod-uid";
    private const int MinRsaBits = 2048;

    private AgentRequest(string pod, string podUid, PublicKey key, string[] names) => (Pod, podUidAsked, Key, this.names) = (pod, podUid, key, names);

    private readonly string podUidAsked;
    private readonly string[] names;

    /// <summary>Whose token asked.</summary>
    public string Pod { get; }

    public PublicKey Key { get; }

    /// <summary>Null where it is refused, and why.</summary>
    /// <param name="spec">As the API server stored it.</param>
    /// <param name="account">system:serviceaccount:NAMESPACE:NAME of the agents.</param>
    public static (AgentRequest? Request, string Refusal) Read(V1CertificateSigningRequestSpec spec, string account)
    {
        if (spec.Username != account)
        {
            return (null, $"it is of {spec.Username}; certificates of agents are for {account}");
        }

        if (Single(spec, PodName) is not { } pod || Single(spec, PodUid) is not { } uid)
        {
            return (null, "the token that asked is not bound to a pod, so nobody can tell for which node it asks");
        }

        if (spec.Usages is null || spec.Usages.Except(AgentCertificates.Usages, StringComparer.Ordinal).Any())
        {
            return (null, $"usages: {string.Join(", ", AgentCertificates.Usages)} and nothing else");
        }

        try
        {
            // A loaded request's own signature has been verified: whoever asks has the key.
            CertificateRequest asked = CertificateRequest.LoadSigningRequestPem(
                Encoding.ASCII.GetString(spec.Request), HashAlgorithmName.SHA256, CertificateRequestLoadOptions.UnsafeLoadCertificateExtensions);
            string[] names =
            [
                .. asked.CertificateExtensions.Where(e => e.Oid?.Value == "2.5.29.17")
                    .SelectMany(e => new X509SubjectAlternativeNameExtension(e.RawData).EnumerateDnsNames()),
            ];
            return RefusalOf(asked.PublicKey) is { } refusal ? (null, refusal) : (new(pod, uid, asked.PublicKey, names), "");
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            return (null, $"no certificate request (PKCS#10, PEM, SHA-256): {e.Message}");
        }
    }

    /// <summary>Why this pod's agent does not get what it asks for; null where it does.</summary>
    /// <param name="pod">Read for this decision; null: there is none.</param>
    /// <param name="account">Name of the agents' service account.</param>
    public string? RefusalFor(V1Pod? pod, string account)
    {
        if (pod is null || pod.Metadata.Uid != podUidAsked)
        {
            return $"the pod {Pod} that asked is gone";
        }

        if (pod.Spec?.ServiceAccountName != account || string.IsNullOrEmpty(pod.Spec.NodeName))
        {
            return $"the pod {Pod} is none of an agent on a node";
        }

        string needed = AgentCertificates.NameOf(pod.Spec.NodeName);
        return names is [var one] && string.Equals(one, needed, StringComparison.OrdinalIgnoreCase)
            ? null
            : $"the pod {Pod} may have a certificate for {needed}, not for {(names.Length == 0 ? "no DNS name" : string.Join(", ", names))}";
    }

    private static string? RefusalOf(PublicKey key)
    {
        using ECDsa? ec = key.GetECDsaPublicKey();
        using RSA? rsa = key.GetRSAPublicKey();
        return ec is not null || rsa?.KeySize >= MinRsaBits ? null : $"its key is neither ECDSA nor RSA of {MinRsaBits} bits or more";
    }

    private static string? Single(V1CertificateSigningRequestSpec spec, string key) =>
        spec.Extra is not null && spec.Extra.TryGetValue(key, out IList<string>? values) && values is [{ Length: > 0 } value] ? value : null;
}
