using System.Collections.Concurrent;
using System.Security.Cryptography.X509Certificates;
using Colo.Agent.Options;
using Colo.AgentApi;
using Colo.Nbd.Server;

namespace Colo.Agent.Hosting;

/// <summary>
/// Who may do what, by the DNS names of verified certificates (<see cref="CertificateNames"/>): only the operator may call an agent, only
/// the agent of the primary's node may write to a secondary, only a volume's guest may open it over TCP. Each refusal is a log line and a
/// count, whichever way it came about. Connections without TLS are not its business: they exist only where no certificates are configured,
/// and on unix sockets, which their directory and their mode guard.
/// </summary>
public sealed class PeerNames(TlsOptions options, ILogger<PeerNames> log)
{
    public const string Grpc = "grpc";
    public const string Replication = "replication";
    public const string Outgoing = "to-secondary";
    public const string Guest = "guest";

    private readonly string[] operators = Split(options.OperatorNames);
    private readonly string[] agents = Split(options.AgentNames);
    private readonly string[] guests = Split(options.GuestNames);
    private readonly ConcurrentDictionary<string, long> refusals = new(StringComparer.Ordinal);

    /// <summary>How many were refused, by where.</summary>
    public IReadOnlyDictionary<string, long> Refusals => refusals;

    /// <summary>Why the holder of this certificate may not call the agent; null where it may.</summary>
    public string? RefusalOfOperator(X509Certificate2? certificate, string address) =>
        certificate is null ? null : Noted(CertificateNames.Refusal(certificate, operators), Grpc, address);

    /// <summary>Why this peer is no agent that may open a replication target; null where it is one.</summary>
    /// <param name="peer">Whoever connects.</param>
    /// <param name="node">Whose agent it must be; null: not known, or not asked yet.</param>
    public string? RefusalOfAgent(NbdPeer peer, string? node = null) =>
        peer.Certificate is null ? null : Noted(CertificateNames.Refusal(peer.Certificate, agents, node, options.NodeNamesRequired), Replication, peer.Address);

    /// <summary>Whether its certificate is for certain nodes only: else nobody need be asked whose turn it is.</summary>
    public bool NamesNode(NbdPeer peer) => peer.Certificate is not null && CertificateNames.NamesSubject(peer.Certificate, agents);

    /// <summary>Why a secondary that is dialled is not the agent of that node; null where it is. Not counted: the failed call is.</summary>
    /// <param name="certificate">Already verified against the authority.</param>
    /// <param name="node">Empty: a peer that is no agent of ours, and has no node.</param>
    public string? RefusalOfSecondary(X509Certificate2 certificate, string node) =>
        CertificateNames.Refusal(certificate, agents, node.Length == 0 ? null : node, options.NodeNamesRequired);

    /// <summary>Why this peer may not open a guest's disk over TCP; null where it may.</summary>
    /// <param name="peer">Whoever connects.</param>
    /// <param name="volume">NAME.NAMESPACE.</param>
    public string? RefusalOfGuest(NbdPeer peer, string volume) =>
        peer.Certificate is null ? null : Noted(CertificateNames.Refusal(peer.Certificate, guests, volume), Guest, peer.Address);

    /// <summary>As <see cref="RefusalOfGuest"/>, for a listing: nobody was refused anything.</summary>
    public bool MayOpen(NbdPeer peer, string volume) =>
        peer.Certificate is null || CertificateNames.Refusal(peer.Certificate, guests, volume) is null;

    /// <summary>Counts and logs a handshake that failed on a certificate.</summary>
    public void Refused(string where, string peer, string reason)
    {
        refusals.AddOrUpdate(where, 1, static (_, count) => count + 1);
        log.PeerNotBelieved(where, peer, reason);
    }

    private string? Noted(string? refusal, string where, string address)
    {
        if (refusal is not null)
        {
            Refused(where, address, refusal);
        }

        return refusal;
    }

    private static string[] Split(string names) =>
        names.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
}
