namespace Colo.Nbd.Handshake;

/// <summary>The peer broke the handshake beyond repair; the message says how. The connection is closed.</summary>
internal sealed class HandshakeException(string message, Exception? inner = null) : Exception(message, inner);
