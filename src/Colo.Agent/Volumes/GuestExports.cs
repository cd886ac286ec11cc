using System.Collections.Concurrent;
using Colo.Agent.Hosting;
using Colo.Nbd.Server;

namespace Colo.Agent.Volumes;

/// <summary>The disks on the guests' shared TCP listener, each only for whom its certificate is for. Without TLS, for all who reach it.</summary>
public sealed class GuestExports(PeerNames peers) : INbdExportProvider
{
    private readonly ConcurrentDictionary<string, Entry> entries = new(StringComparer.Ordinal);

    private sealed record Entry(NbdExport Export, string Volume);

    /// <summary>How a guest's certificate names a volume: a DNS name reads from the small to the large.</summary>
    public static string VolumeOf(ReplicaSpec spec) => $"{spec.Name}.{spec.Namespace}";

    /// <exception cref="ArgumentException">the name is taken.</exception>
    public void Add(NbdExport export, string volume)
    {
        if (!entries.TryAdd(export.Name, new(export, volume)))
        {
            throw new ArgumentException($"there is already an export named '{export.Name}'", nameof(export));
        }
    }

    public void Remove(NbdExport export)
    {
        if (entries.TryGetValue(export.Name, out Entry? entry) && ReferenceEquals(entry.Export, export))
        {
            entries.TryRemove(KeyValuePair.Create(export.Name, entry));
        }
    }

    public ValueTask<IReadOnlyList<NbdExport>> ListAsync(NbdPeer peer, CancellationToken cancellationToken) =>
        new([.. entries.Values.Where(e => peers.MayOpen(peer, e.Volume)).Select(e => e.Export).OrderBy(e => e.Name, StringComparer.Ordinal)]);

    public ValueTask<NbdExportAnswer> FindAsync(string name, NbdPeer peer, CancellationToken cancellationToken) =>
        new(!entries.TryGetValue(name, out Entry? entry) ? NbdExportAnswer.Unknown($"no disk '{name}' is served on this node")
            : peers.RefusalOfGuest(peer, entry.Volume) is { } refusal ? NbdExportAnswer.RefusedByPolicy(refusal)
            : NbdExportAnswer.Serve(entry.Export));
}
