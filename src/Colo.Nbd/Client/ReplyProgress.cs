using Colo.Blocks;

namespace Colo.Nbd.Client;

/// <summary>
/// What the chunks of one reply have brought so far: which bytes of a read, which error. Holds little, whatever a server sends.
/// </summary>
internal sealed class ReplyProgress
{
    /// <summary>Runs of a read that arrived apart from each other; beyond this the reply is refused. Real servers send in order
    /// or a few runs at a time.</summary>
    private const int MaxRuns = 4096;

    /// <summary>Chunks that carry no data (errors) in one reply.</summary>
    private const int MaxErrorChunks = 64;

    private long contiguousEnd;
    private List<(long Start, long End)>? runs;
    private int errorChunks;

    /// <summary>The first error.</summary>
    public BlockStatus Error { get; private set; }

    public bool HasExtents { get; set; }

    public bool HasOtherContext { get; set; }

    public void Reset()
    {
        contiguousEnd = 0;
        runs?.Clear();
        errorChunks = 0;
        Error = BlockStatus.Ok;
        HasExtents = false;
        HasOtherContext = false;
    }

    public bool IsComplete(long length) => contiguousEnd == length;

    /// <returns>False where a server sends more of them than makes sense.</returns>
    public bool TryAddError(BlockStatus error)
    {
        Error = Error == BlockStatus.Ok ? error : Error;
        return ++errorChunks <= MaxErrorChunks;
    }

    /// <summary>Notes that [start, end) of the read arrived.</summary>
    /// <returns>False where it overlaps what came before (proto.md forbids it), or is too scattered.</returns>
    public bool TryAddRun(long start, long end)
    {
        if (start == contiguousEnd && runs is null or { Count: 0 })
        {
            contiguousEnd = end;
            return true;
        }

        return TryAddScattered(start, end);
    }

    /// <summary>Runs above the contiguous start are kept sorted and merged with their neighbours.</summary>
    private bool TryAddScattered(long start, long end)
    {
        if (start < contiguousEnd)
        {
            return false;
        }

        runs ??= [];
        int at = runs.BinarySearch((start, end), RunByStart.Instance);
        if (at >= 0)
        {
            return false;
        }

        at = ~at;
        bool joinsBefore = at > 0 && runs[at - 1].End == start;
        bool joinsAfter = at < runs.Count && runs[at].Start == end;
        if ((at > 0 && runs[at - 1].End > start) || (at < runs.Count && runs[at].Start < end))
        {
            return false;
        }

        switch (joinsBefore, joinsAfter)
        {
            case (true, true):
                runs[at - 1] = (runs[at - 1].Start, runs[at].End);
                runs.RemoveAt(at);
                break;
            case (true, false):
                runs[at - 1] = (runs[at - 1].Start, end);
                break;
            case (false, true):
                runs[at] = (start, runs[at].End);
                break;
            default:
                runs.Insert(at, (start, end));
                break;
        }

        if (runs[0].Start == contiguousEnd)
        {
            contiguousEnd = runs[0].End;
            runs.RemoveAt(0);
        }

        return runs.Count <= MaxRuns;
    }

    private sealed class RunByStart : IComparer<(long Start, long End)>
    {
        public static readonly RunByStart Instance = new();

        public int Compare((long Start, long End) x, (long Start, long End) y) => x.Start.CompareTo(y.Start);
    }
}
