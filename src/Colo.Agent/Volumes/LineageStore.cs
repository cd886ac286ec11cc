using System.Text.Json;
using Colo.Blocks;
using Colo.Linux;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// A replica's lineage beside its disk: lineage.state (the record, replaced whole), lineage.map (activity log and map of what differs) and
/// lineage.seen, which tells an old copy of either. Owns the files until it is disposed.
/// </summary>
public sealed class LineageStore : ILineageStore, IAsyncDisposable
{
    private const string RecordName = "lineage.state";
    private const string MapName = "lineage.map";
    private const string WitnessName = "lineage.seen";

    private readonly AtomicFile state;
    private readonly LineageMapFile map;
    private readonly LineageWitness witness;
    private readonly Lock gate = new();
    private long writes;

    private LineageStore(AtomicFile state, LineageMapFile map, LineageWitness witness, bool hasLostMap) =>
        (this.state, this.map, this.witness, HasLostMap) = (state, map, witness, hasLostMap);

    /// <summary>There is a record, and its map was gone: nobody knows what differs.</summary>
    public bool HasLostMap { get; }

    /// <summary>Of the map file; for as long as it is open, nothing more of it becomes durable after a failure.</summary>
    public BlockStatus FlushFailure => map.FlushFailure;

    /// <summary>Sectors of the map that were not whole when it was read; what they describe counts as different.</summary>
    public int DamagedSectors => map.DamagedSectors;

    /// <summary>What belongs to the lineage in a replica's directory.</summary>
    public static IEnumerable<string> FilesIn(string directory) =>
        new[] { RecordName, MapName, WitnessName }.Select(name => Path.Combine(directory, name)).Where(File.Exists);

    /// <exception cref="StateFileException">a file of it is not what was left, or cannot be read.</exception>
    /// <exception cref="IOException">a file of it cannot be made or opened.</exception>
    public static async Task<LineageStore> OpenAsync(string directory, long diskBytes)
    {
        string path = Path.Combine(directory, MapName);
        AtomicFile state = new(Path.Combine(directory, RecordName), "lineage");
        LineageWitness witness = await LineageWitness.OpenAsync(Path.Combine(directory, WitnessName));
        try
        {
            bool hasRecord = state.Exists;
            if (!hasRecord && witness.Seen.Writes == 0)
            {
                // Whatever a power cut left of one that was never used.
                File.Delete(path);
            }

            bool isThere = File.Exists(path);
            LineageMapFile map = isThere
                ? await LineageMapFile.OpenAsync(path, diskBytes)
                : await LineageMapFile.CreateAsync(path, diskBytes, witness.Seen.Activity);
            return new(state, map, witness, hasLostMap: hasRecord && !isThere);
        }
        catch
        {
            await witness.DisposeAsync();
            throw;
        }
    }

    /// <summary>Which of the files has not come as far as is known of it; null where each has.</summary>
    /// <param name="knownWrites">What the replica's state knows of the record.</param>
    public async Task<string?> FindOldCopyAsync(long knownWrites)
    {
        LineageProgress seen = witness.Seen;
        long known = Math.Max(knownWrites, seen.Writes);
        long written = (await ReadAsync()).Writes;
        await map.ReadActivityAsync();
        return written < known ? $"{state.Path} is at write {written}, and had been at {known}"
            : map.Sequence < seen.Activity ? $"the activity log of {Path.Combine(Path.GetDirectoryName(state.Path)!, MapName)} is at write {map.Sequence}, and had been at {seen.Activity}"
            : null;
    }

    public ValueTask<LineageRecord> ReadAsync()
    {
        if (state.Read() is not { } content)
        {
            return new(LineageRecord.Empty);
        }

        try
        {
            LineageRecord record = LineageJson.Read(content.Bytes.Span);
            writes = record.Writes;
            return new(record);
        }
        catch (JsonException e)
        {
            throw new StateFileException(StateFileError.Torn, state.Path, $"is no lineage: {e.Message}", e);
        }
    }

    public ValueTask WriteAsync(LineageRecord record)
    {
        state.Write(LineageJson.Write(record));
        Note(record.Writes);
        return ValueTask.CompletedTask;
    }

    public async ValueTask<IReadOnlyList<int>> ReadActivityAsync() => await map.ReadActivityAsync();

    public async ValueTask WriteActivityAsync(IReadOnlyList<int> extents)
    {
        await map.WriteActivityAsync(extents);
        Note();
    }

    public async ValueTask ReadMapAsync(Memory<byte> destination) => await map.ReadMapAsync(destination);

    public void WriteMap(long offsetBytes, ReadOnlySpan<byte> source) => map.WriteMap(offsetBytes, source);

    public async ValueTask SyncMapAsync() => await map.SyncAsync();

    /// <summary>When it returns, an old copy of what was written before will be told, unless the note of it could not be written.</summary>
    public Task WhenWitnessedAsync() => witness.SettleAsync();

    public async ValueTask DisposeAsync()
    {
        await witness.DisposeAsync();
        await map.DisposeAsync();
    }

    /// <summary>Of what is durable, both; record and log are written beside each other.</summary>
    private void Note(long? written = null)
    {
        lock (gate)
        {
            writes = written ?? writes;
            witness.Note(new(writes, map.Sequence));
        }
    }
}
