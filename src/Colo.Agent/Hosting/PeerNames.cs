using System.Collections.Concurrent;
using System.Security.Cryptography.X509Certificates;
using Colo.Agent.Options;
using Colo.Nbd.Server;

namespace Colo.Agent.Hosting;

/// <summary>
/// Who may do what, by the DNS names of verified certificates: only the operator may call an agent, only an agent may write to a
/// secondary. Each refusal is a log line and a count, whichever way it came about. Connections without TLS are not its business: they
/// exist only where no certificates are configured, and on unix sockets, which their directory guards.
/// </summary>
public sealed class PeerNames(TlsOptions options, ILogger<PeerNames> log)
{
    public const string Grpc = "grpc";
    public const string Replication = "replication";
    public const string Outgoing = "to-secondary";

    private readonly string[] operators = Split(options.OperatorNames);
    private readonly string[] agents = Split(options.AgentNames);
    private readonly ConcurrentDictionary<string, long> refusals = new(StringComparer.Ordinal);

    /// <summary>How many were refused, by where.</summary>
    public IReadOnlyDictionary<string, long> Refusals => refusals;

    /// <summary>The one name that a secondary's certificate must carry; null: any.</summary>
    public string? AgentName => agents.Contains("*", StringComparer.Ordinal) ? null : agents[0];

    /// <summary>Why the holder of this certificate may not call the agent; null where it may.</summary>
    public string? RefusalOfOperator(X509Certificate2? certificate, string address) =>
        certificate is null ? null : Refusal(certificate, operators, Grpc, address);

    /// <summary>Why this peer may not open a replication target; null where it may.</summary>
    public string? RefusalOfAgent(NbdPeer peer) =>
        peer.Certificate is null ? null : Refusal(peer.Certificate, agents, Replication, peer.Address);

    /// <summary>Counts and logs a handshake that failed on a certificate.</summary>
    public void Refused(string where, string peer, string reason)
    {
        refusals.AddOrUpdate(where, 1, static (_, count) => count + 1);
        log.PeerNotBelieved(where, peer, reason);
    }

    private string? Refusal(X509Certificate2 certificate, string[] allowed, string where, string address)
    {
        string[] names = [.. NamesOf(certificate)];
        if (allowed.Contains("*", StringComparer.Ordinal) || names.Intersect(allowed, StringComparer.OrdinalIgnoreCase).Any())
        {
            return null;
        }

        string reason = $"its certificate is for {string.Join(", ", names)}; needed is {string.Join(" or ", allowed)}";
        Refused(where, address, reason);
        return reason;
    }

    /// <summary>The DNS names, or the common name where there are none (RFC 6125, 6.4.4).</summary>
    private static IEnumerable<string> NamesOf(X509Certificate2 certificate)
    {
        string[] dns = [.. certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>().SelectMany(e => e.EnumerateDnsNames())];
        return dns.Length > 0 ? dns : [certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false)];
    }

    private static string[] Split(string names) =>
        names.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
