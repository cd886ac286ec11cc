using System.Collections.Concurrent;
using System.Globalization;
using Colo.Agent.Hosting;
using Colo.Nbd.Server;

namespace Colo.Agent.Volumes;

/// <summary>
/// The replication targets of this node's secondaries, under "uid@term": a primary of an older term is refused in the handshake, with
/// a sentence that it can log, before it can write a byte. A target may have a plain name too, for a primary that knows no terms (QEMU).
/// </summary>
public sealed class ReplicationExports(PeerNames peers, ILogger<ReplicationExports> log) : INbdExportProvider
{
    private readonly ConcurrentDictionary<string, Target> targets = new(StringComparer.Ordinal);

    private sealed record Target(
        long Term,
        NbdExport? Export,
        NbdExport? Plain,
        NbdExport? Lineage,
        Func<CancellationToken, ValueTask<string?>> Refusal,
        Func<NbdPeer, CancellationToken, ValueTask<string?>>? Stranger);

    public static string NameOf(string uid, long term) => string.Create(CultureInfo.InvariantCulture, $"{uid}@{term}");

    /// <summary>A secondary is prepared under the term, and takes no primary before it is started.</summary>
    public void Announce(string uid, long term) => targets[uid] = new(term, null, null, null, _ => new("it is not started yet"), null);

    /// <summary>Serves <paramref name="export"/> for the volume from now on, in place of the one of an earlier term.</summary>
    /// <param name="uid">Of the volume.</param>
    /// <param name="term">Whose primary may connect.</param>
    /// <param name="export">Named uid@term.</param>
    /// <param name="plain">The same under a plain name, or null.</param>
    /// <param name="refusal">Asked at each connection: null, or why it is not taken now.</param>
    /// <param name="lineage">What its primary reads before, and announces itself to; null where there is none.</param>
    /// <param name="stranger">Asked of each peer that is an agent: null, or why it is not the primary's. Null: all agents are the same.</param>
    public void Serve(
        string uid,
        long term,
        NbdExport export,
        NbdExport? plain,
        Func<CancellationToken, ValueTask<string?>> refusal,
        NbdExport? lineage = null,
        Func<NbdPeer, CancellationToken, ValueTask<string?>>? stranger = null) => targets[uid] = new(term, export, plain, lineage, refusal, stranger);

    public void Remove(string uid) => targets.TryRemove(uid, out _);

    /// <summary>Only what this peer could open: an agent learns nothing of volumes that are not its node's.</summary>
    public async ValueTask<IReadOnlyList<NbdExport>> ListAsync(NbdPeer peer, CancellationToken cancellationToken)
    {
        List<NbdExport> open = [];
        if (peers.RefusalOfAgent(peer) is null)
        {
            foreach (Target target in targets.Values)
            {
                if (await StrangerAsync(target, peer, cancellationToken) is null)
                {
                    open.AddRange(new[] { target.Export, target.Plain }.OfType<NbdExport>());
                }
            }
        }

        return open;
    }

    public async ValueTask<NbdExportAnswer> FindAsync(string name, NbdPeer peer, CancellationToken cancellationToken)
    {
        NbdExportAnswer answer = peers.RefusalOfAgent(peer) is { } stranger
            ? NbdExportAnswer.RefusedByPolicy(stranger)
            : await FindForAgentAsync(name, peer, cancellationToken);
        if (answer.Export is null)
        {
            log.ReplicationRefused(name, answer.Message);
        }

        return answer;
    }

    private static async ValueTask<string?> StrangerAsync(Target target, NbdPeer peer, CancellationToken token) =>
        target.Stranger is null ? null : await target.Stranger(peer, token);

    private async ValueTask<NbdExportAnswer> FindForAgentAsync(string name, NbdPeer peer, CancellationToken token)
    {
        bool asksLineage = name.EndsWith(LineageExport.NameOf(""), StringComparison.Ordinal);
        name = asksLineage ? name[..^LineageExport.NameOf("").Length] : name;
        int at = name.LastIndexOf('@');
        if (at < 0 || !long.TryParse(name.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out long term))
        {
            return await FindPlainAsync(name, peer, token);
        }

        string uid = name[..at];
        if (!targets.TryGetValue(uid, out Target? target))
        {
            return NbdExportAnswer.Unknown($"no secondary of volume {uid} on this node");
        }

        if (term != target.Term)
        {
            return NbdExportAnswer.RefusedByPolicy(term < target.Term
                ? $"term {term} of volume {uid} is over: the secondary is of term {target.Term}"
                : $"the secondary of volume {uid} is of term {target.Term}; it must be prepared under term {term} first");
        }

        if (asksLineage && target.Lineage is null && target.Export is not null)
        {
            return NbdExportAnswer.Unknown($"the secondary of volume {uid} keeps no lineage");
        }

        return (await StrangerAsync(target, peer, token) ?? await target.Refusal(token)) is { } refusal
            ? NbdExportAnswer.RefusedByPolicy($"the secondary of volume {uid}: {refusal}")
            : NbdExportAnswer.Serve(asksLineage ? target.Lineage! : target.Export!);
    }

    private async ValueTask<NbdExportAnswer> FindPlainAsync(string name, NbdPeer peer, CancellationToken token)
    {
        List<KeyValuePair<string, Target>> named = targets.Where(t => t.Value.Plain?.Name == name).ToList();
        if (named.Count > 1)
        {
            // Guessing would write one volume's data onto another's disk.
            return NbdExportAnswer.RefusedByPolicy(
                $"'{name}' is the plain export name of several volumes: {string.Join(", ", named.Select(t => t.Key))}");
        }

        Target? target = named.Count == 1 ? named[0].Value : null;
        return target is null ? NbdExportAnswer.Unknown($"no replication target '{name}' on this node; the form is uid@term")
            : (await StrangerAsync(target, peer, token) ?? await target.Refusal(token)) is { } refusal ? NbdExportAnswer.RefusedByPolicy($"the secondary '{name}': {refusal}")
            : NbdExportAnswer.Serve(target.Plain!);
    }
}
