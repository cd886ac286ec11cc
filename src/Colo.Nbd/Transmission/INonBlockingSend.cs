namespace Colo.Nbd.Transmission;

/// <summary>A stream that can take what fits right now.</summary>
internal interface INonBlockingSend
{
    /// <summary>Bytes taken, from none to all; never waits.</summary>
    /// <exception cref="IOException">the connection is gone.</exception>
    int TrySend(ReadOnlySpan<byte> buffer);
}

/// <summary>A stream whose waiting reader and writer can be woken by its end, from any thread.</summary>
internal interface IAbortable
{
    /// <summary>Both directions end; whoever waits sees the end or an IOException.</summary>
    void Abort();

    /// <summary>The reader sees the end after what has arrived; sending goes on.</summary>
    void EndReceiving();
}
