using Colo.Blocks;

namespace Colo.Qcow2;

/// <summary>
/// The medium under an image: a file that grows when it is written past its end. What is answered has reached the kernel, so that it
/// outlives this process; it outlives the machine after <see cref="FlushAsync"/>.
/// </summary>
/// <remarks>Requests may overlap in time, from any thread. After disposal every request answers <see cref="BlockStatus.Shutdown"/>.</remarks>
public interface IImageFile : IAsyncDisposable
{
    /// <summary>For messages.</summary>
    string Path { get; }

    bool IsReadOnly { get; }

    /// <summary>Every request ends before its call returns: whoever waits for a lock held during such calls may block.</summary>
    bool CompletesSynchronously { get; }

    long LengthBytes { get; }

    /// <summary>Bytes past the end of the file read as zeroes.</summary>
    ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination);

    /// <summary>Grows the file where it reaches past the end; a gap reads as zeroes.</summary>
    ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source);

    /// <summary>Afterwards the range reads as zeroes; its space may be given back. Never changes the length of the file.</summary>
    ValueTask<BlockStatus> ZeroAsync(BlockRange range);

    /// <summary>A hint that the range is not referenced any more: its space may be given back. Never changes the length.</summary>
    ValueTask<BlockStatus> DiscardAsync(BlockRange range);

    /// <summary>Cuts the file, or grows it by a hole.</summary>
    ValueTask<BlockStatus> SetLengthAsync(long lengthBytes);

    /// <summary>Everything answered before is on stable storage.</summary>
    ValueTask<BlockStatus> FlushAsync();
}
