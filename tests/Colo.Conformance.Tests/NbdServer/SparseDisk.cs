using Colo.Blocks;

namespace Colo.Conformance.Tests.ServerSide;

/// <summary>A disk in memory that holds only what was written, in 64 KiB pages, and says so in its extents.</summary>
internal sealed class SparseDisk(long lengthBytes) : IBlockDevice
{
    private const int PageBytes = 64 << 10;

    private readonly byte[]?[] pages = new byte[]?[(lengthBytes + PageBytes - 1) / PageBytes];

    public long LengthBytes => lengthBytes;

    public DeviceCapabilities Capabilities { get; } = new();

    public int Flushes { get; private set; }

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        lock (pages)
        {
            Span<byte> rest = destination.Span;
            while (!rest.IsEmpty)
            {
                (long page, int within, int part) = Split(offsetBytes, rest.Length);
                if (pages[page] is { } content)
                {
                    content.AsSpan(within, part).CopyTo(rest);
                }
                else
                {
                    rest[..part].Clear();
                }

                rest = rest[part..];
                offsetBytes += part;
            }
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None)
    {
        lock (pages)
        {
            ReadOnlySpan<byte> rest = source.Span;
            while (!rest.IsEmpty)
            {
                (long page, int within, int part) = Split(offsetBytes, rest.Length);
                rest[..part].CopyTo((pages[page] ??= new byte[PageBytes]).AsSpan(within));
                rest = rest[part..];
                offsetBytes += part;
            }
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None)
    {
        lock (pages)
        {
            for (long at = range.Offset; at < range.End;)
            {
                (long page, int within, int part) = Split(at, range.End - at);
                if (!flags.HasFlag(RequestFlags.MayUnmap))
                {
                    pages[page] ??= new byte[PageBytes];
                }

                if (part == PageBytes && flags.HasFlag(RequestFlags.MayUnmap))
                {
                    pages[page] = null;
                }

                pages[page]?.AsSpan(within, part).Clear();
                at += part;
            }
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        WriteZeroesAsync(range, flags | RequestFlags.MayUnmap);

    public ValueTask<BlockStatus> FlushAsync()
    {
        Flushes++;
        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue)
    {
        lock (pages)
        {
            long at = range.Offset;
            while (at < range.End && extents.Count < maxExtents)
            {
                bool held = pages[at / PageBytes] is not null;
                long end = at;
                while (end < range.End && pages[end / PageBytes] is not null == held)
                {
                    end = ((end / PageBytes) + 1) * PageBytes;
                }

                end = Math.Min(end, range.End);
                extents.Add(new(BlockRange.FromTo(at, end), held ? ExtentKind.Data : ExtentKind.Hole | ExtentKind.Zero));
                at = end;
            }
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static (long Page, int Within, int Part) Split(long offset, long length)
    {
        int within = (int)(offset % PageBytes);
        return (offset / PageBytes, within, (int)Math.Min(length, PageBytes - within));
    }
}
