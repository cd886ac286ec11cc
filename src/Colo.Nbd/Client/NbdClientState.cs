namespace Colo.Nbd.Client;

/// <summary>Where a client stands with its server.</summary>
public enum NbdClientState
{
    /// <summary>First connection not made yet.</summary>
    Connecting,

    Connected,

    /// <summary>Lost; requests wait while it is tried again.</summary>
    Reconnecting,

    /// <summary>Given up; every request answers <c>IoError</c>.</summary>
    Failed,

    /// <summary>Disposed; every request answers <c>Shutdown</c>.</summary>
    Closed,
}

/// <summary>What happened to a connection.</summary>
internal enum NbdClientEvent
{
    HandshakeDone,
    ConnectionLost,
    GivenUp,
    Disposed,
}

/// <summary>A change of state, and the error behind it where there is one.</summary>
public sealed class NbdClientStateChange(NbdClientState from, NbdClientState to, NbdClientException? reason) : EventArgs
{
    public NbdClientState From { get; } = from;

    public NbdClientState To { get; } = to;

    public NbdClientException? Reason { get; } = reason;
}

/// <summary>The one table of the client's states.</summary>
internal static class NbdClientTransitions
{
    public static NbdClientState Next(NbdClientState state, NbdClientEvent happened) => (state, happened) switch
    {
        (NbdClientState.Connecting or NbdClientState.Reconnecting, NbdClientEvent.HandshakeDone) => NbdClientState.Connected,
        (NbdClientState.Connected, NbdClientEvent.ConnectionLost) => NbdClientState.Reconnecting,
        (NbdClientState.Connecting or NbdClientState.Connected or NbdClientState.Reconnecting, NbdClientEvent.GivenUp) =>
            NbdClientState.Failed,
        (_, NbdClientEvent.Disposed) => NbdClientState.Closed,
        _ => throw new InvalidOperationException($"NBD client: {happened} in state {state}"),
    };
}
