using Colo.Blocks;
using Colo.Qcow2.Header;

namespace Colo.Qcow2.Mapping;

/// <summary>Judges a request before it touches the image, and does once, before the first change, what a writer owes: autoclear bits
/// stand for features that this writer does not maintain (persistent bitmaps among them) and are cleared.</summary>
internal sealed class WriteAccess(ImageState image, bool isReadOnly)
{
    private volatile bool isPrepared = image.Header.Autoclear == AutoclearFeatures.None;
    private volatile bool isClosed;
    private int closing;

    public bool IsReadOnly => isReadOnly;

    public bool IsClosed => isClosed;

    public BlockStatus Judge(long offset, long length, BlockStatus pastEnd)
    {
        if (isClosed)
        {
            return BlockStatus.Shutdown;
        }

        return offset < 0 || length > image.Header.SizeBytes - offset ? pastEnd : BlockStatus.Ok;
    }

    /// <summary>Ok where the range may be changed now.</summary>
    public ValueTask<BlockStatus> PrepareAsync(long offset, long length)
    {
        BlockStatus status = Judge(offset, length, BlockStatus.NoSpace);
        if (status != BlockStatus.Ok || isReadOnly)
        {
            return new(status == BlockStatus.Shutdown ? status : isReadOnly ? BlockStatus.NotPermitted : status);
        }

        if (image.IsBroken)
        {
            return new(BlockStatus.IoError);
        }

        return isPrepared ? new(BlockStatus.Ok) : ClearAutoclearAsync();
    }

    /// <summary>Waits for what runs, gives back what was taken ahead, and closes the file; who comes later finds it closed.</summary>
    public async ValueTask CloseAsync()
    {
        if (Interlocked.Exchange(ref closing, 1) != 0)
        {
            return;
        }

        isClosed = true;
        await image.Gate.EnterExclusiveAsync();
        try
        {
            if (!isReadOnly && !image.IsBroken)
            {
                // What cannot be given back now is a leak, which a later check finds; closing goes on.
                await image.FlushAsync();
                await image.Allocator.ReleaseRunAsync();
            }
        }
        finally
        {
            await image.File.DisposeAsync();
            image.Gate.ExitExclusive();
        }
    }

    private async ValueTask<BlockStatus> ClearAutoclearAsync()
    {
        await image.Lock.EnterAsync();
        try
        {
            if (isPrepared)
            {
                return BlockStatus.Ok;
            }

            BlockStatus status = await image.WriteHeaderAsync(HeaderLayout.AutoclearFeatures, HeaderWriter.U64(0));
            status = status == BlockStatus.Ok ? await image.BarrierAsync() : status;
            if (status == BlockStatus.Ok)
            {
                image.Header = image.Header with { Autoclear = AutoclearFeatures.None };
                isPrepared = true;
            }

            return status;
        }
        finally
        {
            image.Lock.Exit();
        }
    }
}
