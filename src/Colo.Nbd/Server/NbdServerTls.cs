using System.Security.Cryptography.X509Certificates;

namespace Colo.Nbd.Server;

public enum NbdTlsMode
{
    /// <summary>STARTTLS is refused.</summary>
    None,

    /// <summary>The client chooses.</summary>
    Allowed,

    /// <summary>Everything but STARTTLS and ABORT answers ERR_TLS_REQD until TLS is on.</summary>
    Required,
}

/// <summary>How the server proves itself and whom it believes.</summary>
public sealed record NbdServerTls
{
    public required NbdTlsMode Mode { get; init; }

    /// <summary>With its private key. Called for each handshake, so that a renewed certificate is taken up without a restart.</summary>
    public required Func<X509Certificate2> Certificate { get; init; }

    /// <summary>Sent along with <see cref="Certificate"/>: what it chains through to an authority that clients know.</summary>
    public Func<X509Certificate2Collection>? Intermediates { get; init; }

    /// <summary>Where set, a client must show a certificate that one of these authorities issued; null asks for none.</summary>
    public Func<X509Certificate2Collection>? ClientAuthorities { get; init; }

    /// <summary>Told of each TLS handshake that failed, and why; on the thread of its connection.</summary>
    public Action<NbdPeer, string>? Refused { get; init; }
}
