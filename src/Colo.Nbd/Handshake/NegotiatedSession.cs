using Colo.Nbd.Server;

namespace Colo.Nbd.Handshake;

/// <summary>How replies are framed; each includes the duties of the one before.</summary>
internal enum ReplyFormat
{
    Simple,
    Structured,
    Extended,
}

/// <summary>What a handshake agreed on.</summary>
/// <param name="Stream">What transmission reads and writes: the transport, or TLS over it.</param>
/// <param name="Export">The one export of this connection.</param>
/// <param name="Format">Framing of requests and replies.</param>
/// <param name="BaseAllocation">The meta context base:allocation was selected for this export.</param>
/// <param name="Checkpoint">The meta context colo:checkpoint was selected for this export.</param>
internal sealed record NegotiatedSession(
    Stream Stream, NbdExport Export, ReplyFormat Format, bool BaseAllocation = false, bool Checkpoint = false);
