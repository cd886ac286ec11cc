using Colo.AgentApi;
using Colo.Nbd.Server;

namespace Colo.Agent.Volumes;

/// <summary>
/// Whether a peer is the agent of the node that the record names primary of this secondary's term. Asked only of certificates that name
/// nodes: one that names none is any agent's. Who is primary never changes within a term, so the record is read once.
/// </summary>
/// <param name="parts">Of the process.</param>
/// <param name="memory">Of the replica.</param>
internal sealed class PrimaryCheck(VolumeParts parts, ReplicaMemory memory)
{
    /// <summary>A primary waits in its handshake for this answer, up to three times.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly long term = memory.Current.Spec.Term;
    private volatile string? primary;

    /// <returns>Null: it is. Without an answer of the record nobody is let in: the same record would have to let the primary go on alone,
    /// so that nothing is lost by waiting for it.</returns>
    public async ValueTask<string?> RefusalAsync(NbdPeer peer, CancellationToken token)
    {
        if (!parts.Peers.NamesNode(peer))
        {
            return null;
        }

        if (primary is null)
        {
            ReplicaSpec spec = memory.Current.Spec;
            VolumeRecord? record;
            using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(token);
            limit.CancelAfter(Patience);
            try
            {
                record = await parts.Records.Of(spec).ReadAsync(limit.Token);
            }
            catch (Exception e) when (e is IOException or InvalidDataException
                || (e is OperationCanceledException && !token.IsCancellationRequested))
            {
                return $"the record, which says whose agent may write, cannot be read now; try again ({e.Message})";
            }

            if (record is null && spec.PlainExportName.Length > 0)
            {
                return null; // a primary that knows no record (QEMU) has no node either
            }

            if (record?.Term != term)
            {
                return $"the record does not say whose agent may write under term {term}; it is of term {record?.Term ?? 0}";
            }

            primary = record.Primary;
        }

        return parts.Peers.RefusalOfAgent(peer, primary);
    }
}
