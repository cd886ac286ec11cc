using Colo.Nbd.Wire;

namespace Colo.Nbd.Handshake;

/// <summary>An option that gets an error reply; the handshake goes on.</summary>
internal sealed class OptionRefusedException(NbdOptionReply reply, string message) : Exception(message)
{
    public NbdOptionReply Reply { get; } = reply;
}
