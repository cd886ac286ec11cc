namespace Colo.Qcow2.Check;

/// <summary>How often each cluster is referred to, in chunks, so that a sparse image costs what it uses. Metadata is told apart: it
/// may have one owner only.</summary>
internal sealed class ReferenceMap
{
    private const int ChunkBits = 12;
    private const uint MetadataFlag = 1u << 31;

    private readonly SortedDictionary<long, uint[]> chunks = [];

    /// <summary>One reference more. False: the cluster is metadata and has another owner.</summary>
    public bool Add(long cluster, bool isMetadata)
    {
        uint[] chunk = Chunk(cluster);
        ref uint count = ref chunk[cluster & ((1 << ChunkBits) - 1)];
        bool clash = count != 0 && (isMetadata || (count & MetadataFlag) != 0);
        count = (count + 1) | (isMetadata ? MetadataFlag : 0);
        return !clash;
    }

    /// <summary>One reference more to a table that snapshots may share.</summary>
    public bool AddShared(long cluster)
    {
        ref uint count = ref Chunk(cluster)[cluster & ((1 << ChunkBits) - 1)];
        bool clash = count != 0 && (count & MetadataFlag) == 0;
        count = (count + 1) | MetadataFlag;
        return !clash;
    }

    public uint this[long cluster] =>
        chunks.TryGetValue(cluster >> ChunkBits, out uint[]? chunk) ? chunk[cluster & ((1 << ChunkBits) - 1)] & ~MetadataFlag : 0;

    /// <summary>The clusters with a reference, in ascending order.</summary>
    public IEnumerable<long> Clusters()
    {
        foreach ((long index, uint[] chunk) in chunks)
        {
            for (int i = 0; i < chunk.Length; i++)
            {
                if (chunk[i] != 0)
                {
                    yield return (index << ChunkBits) + i;
                }
            }
        }
    }

    private uint[] Chunk(long cluster)
    {
        long index = cluster >> ChunkBits;
        if (!chunks.TryGetValue(index, out uint[]? chunk))
        {
            chunks[index] = chunk = new uint[1 << ChunkBits];
        }

        return chunk;
    }
}
