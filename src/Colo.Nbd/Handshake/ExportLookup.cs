using Colo.Nbd.Server;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Handshake;

/// <summary>The provider, asked in the name of this peer. Waits on the connection's own thread, which has nothing else to do.</summary>
internal sealed class ExportLookup(INbdExportProvider provider, NbdPeer peer, CancellationToken token)
{
    public NbdPeer Peer { get; set; } = peer;

    public IReadOnlyList<NbdExport> List() => provider.ListAsync(Peer, token).AsTask().GetAwaiter().GetResult();

    /// <exception cref="OptionRefusedException">there is none, or not for this peer.</exception>
    public NbdExport Find(string name)
    {
        NbdExportAnswer answer = provider.FindAsync(name, Peer, token).AsTask().GetAwaiter().GetResult();
        NbdExport export = answer.Export ?? throw new OptionRefusedException(answer.Refusal, answer.Message);
        return export.IsClosed ? throw Closed(export) : export;
    }

    public static OptionRefusedException Closed(NbdExport export) =>
        new(NbdOptionReply.ErrorShutdown, $"export '{export.Name}' is closed");
}
