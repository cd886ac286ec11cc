using System.Security.Cryptography.X509Certificates;

namespace Colo.Nbd.Server;

/// <summary>Who is at the other end of a connection.</summary>
/// <param name="Address">Endpoint as text, for logs and status; says nothing about identity.</param>
/// <param name="IsTls">The connection is encrypted.</param>
/// <param name="Certificate">The client's certificate, already verified against the configured authorities; null without one.</param>
public sealed record NbdPeer(string Address, bool IsTls = false, X509Certificate2? Certificate = null)
{
    /// <summary>Distinguished name of the verified certificate.</summary>
    public string? TlsSubject => Certificate?.Subject;

    /// <summary>Common name of the verified certificate: what an agent's certificate names its node by.</summary>
    public string? TlsCommonName => Certificate?.GetNameInfo(X509NameType.SimpleName, forIssuer: false);

    public override string ToString() => Certificate is null ? Address : $"{Address} ({TlsSubject})";
}

/// <summary>One connection that uses an export.</summary>
/// <param name="Id">Unique within the process.</param>
/// <param name="Peer">Who is connected.</param>
/// <param name="Since">When it entered transmission.</param>
public sealed record NbdConnectionInfo(long Id, NbdPeer Peer, DateTimeOffset Since);
