using System.Collections.Concurrent;

namespace Colo.Nbd.Server;

/// <summary>The plain provider: a table of exports that anyone who may connect may use. The empty name finds the only one.</summary>
public sealed class NbdExportTable : INbdExportProvider
{
    private readonly ConcurrentDictionary<string, NbdExport> exports = new(StringComparer.Ordinal);

    public NbdExportTable(params IEnumerable<NbdExport> exports)
    {
        foreach (NbdExport export in exports)
        {
            Add(export);
        }
    }

    /// <exception cref="ArgumentException">the name is taken.</exception>
    public void Add(NbdExport export)
    {
        if (!exports.TryAdd(export.Name, export))
        {
            throw new ArgumentException($"there is already an export named '{export.Name}'", nameof(export));
        }
    }

    /// <summary>Takes it off the table; its connections live on until <see cref="NbdExport.CloseAsync"/>.</summary>
    public bool Remove(NbdExport export) => exports.TryRemove(KeyValuePair.Create(export.Name, export));

    public ValueTask<IReadOnlyList<NbdExport>> ListAsync(NbdPeer peer, CancellationToken cancellationToken) =>
        new(exports.Values.OrderBy(export => export.Name, StringComparer.Ordinal).ToList());

    public ValueTask<NbdExportAnswer> FindAsync(string name, NbdPeer peer, CancellationToken cancellationToken)
    {
        if (exports.TryGetValue(name, out NbdExport? export))
        {
            return new(NbdExportAnswer.Serve(export));
        }

        return name.Length == 0 && exports.Values.ToArray() is [NbdExport only]
            ? new(NbdExportAnswer.Serve(only))
            : new(NbdExportAnswer.Unknown($"no export named '{name}'"));
    }
}
