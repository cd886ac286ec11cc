namespace Colo.Nbd.Server;

/// <summary>Says which exports there are, and to whom. Asked in every handshake, on the thread of the connection that asks.</summary>
/// <remarks>A look-up only: it must not open or change anything, since INFO, GO and the meta context options each ask once.</remarks>
public interface INbdExportProvider
{
    /// <summary>The answer to NBD_OPT_LIST: only what this peer may know of.</summary>
    ValueTask<IReadOnlyList<NbdExport>> ListAsync(NbdPeer peer, CancellationToken cancellationToken);

    /// <param name="name">As the client spelled it; empty asks for the default export.</param>
    /// <param name="peer">Who asks, with its verified certificate where TLS is on.</param>
    /// <param name="cancellationToken">Ends with the handshake's time limit, or with the server.</param>
    ValueTask<NbdExportAnswer> FindAsync(string name, NbdPeer peer, CancellationToken cancellationToken);
}
