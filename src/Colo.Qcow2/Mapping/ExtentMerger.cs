using Colo.Blocks;

namespace Colo.Qcow2.Mapping;

/// <summary>Joins neighbouring runs of one kind into extents, up to a number of them.</summary>
internal sealed class ExtentMerger(IList<BlockExtent> extents, int maxExtents)
{
    private int added;
    private BlockRange current;
    private ExtentKind kind;

    /// <summary>False: the list is full, and this run is not in it.</summary>
    public bool Add(BlockRange range, ExtentKind kindOfRange)
    {
        if (!current.IsEmpty && kindOfRange == kind)
        {
            current = BlockRange.FromTo(current.Offset, range.End);
            return true;
        }

        if (added + (current.IsEmpty ? 0 : 1) >= maxExtents)
        {
            return false;
        }

        Finish();
        (current, kind) = (range, kindOfRange);
        return true;
    }

    public void Finish()
    {
        if (!current.IsEmpty)
        {
            extents.Add(new(current, kind));
            added++;
            current = default;
        }
    }
}
