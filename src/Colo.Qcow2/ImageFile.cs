using Colo.Blocks;
using Microsoft.Win32.SafeHandles;

namespace Colo.Qcow2;

/// <summary>
/// An image file through the page cache, with what the base class library has: pread, pwrite, ftruncate, fsync; every call ends
/// before it returns. It cannot punch holes: zeroing writes zero bytes and discarding does nothing. Owns its handle.
/// </summary>
public sealed class ImageFile : IImageFile
{
    private const int Enospc = 28;
    private const int Efbig = 27;
    private const int Edquot = 122;

    private static readonly byte[] Zeroes = new byte[64 * 1024];

    private readonly SafeFileHandle handle;
    private long lengthBytes;

    private ImageFile(string path, SafeFileHandle handle, bool isReadOnly)
    {
        Path = path;
        IsReadOnly = isReadOnly;
        this.handle = handle;
        lengthBytes = RandomAccess.GetLength(handle);
    }

    public string Path { get; }

    public bool IsReadOnly { get; }

    public bool CompletesSynchronously => true;

    public long LengthBytes => Volatile.Read(ref lengthBytes);

    /// <exception cref="IOException">as <see cref="File.OpenHandle"/>.</exception>
    public static ImageFile Open(string path, bool readOnly = false)
    {
        FileAccess access = readOnly ? FileAccess.Read : FileAccess.ReadWrite;
        return new(path, File.OpenHandle(path, FileMode.Open, access, FileShare.ReadWrite | FileShare.Delete), readOnly);
    }

    /// <summary>Makes a new, empty file; one that is there already is emptied.</summary>
    public static ImageFile Create(string path) =>
        new(path, File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete), isReadOnly: false);

    public ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination)
    {
        try
        {
            Span<byte> rest = destination.Span;
            while (rest.Length > 0)
            {
                int got = RandomAccess.Read(handle, rest, offsetBytes);
                if (got == 0)
                {
                    rest.Clear();
                    break;
                }

                rest = rest[got..];
                offsetBytes += got;
            }

            return new(BlockStatus.Ok);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            return new(StatusOf(e));
        }
    }

    public ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source)
    {
        try
        {
            RandomAccess.Write(handle, source.Span, offsetBytes);
            Grown(offsetBytes + source.Length);
            return new(BlockStatus.Ok);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            return new(StatusOf(e));
        }
    }

    public ValueTask<BlockStatus> ZeroAsync(BlockRange range)
    {
        long end = Math.Min(range.End, LengthBytes);
        for (long offset = range.Offset; offset < end; offset += Zeroes.Length)
        {
            int count = (int)Math.Min(Zeroes.Length, end - offset);
            ValueTask<BlockStatus> written = WriteAsync(offset, Zeroes.AsMemory(0, count));
            if (written.Result != BlockStatus.Ok)
            {
                return written;
            }
        }

        return new(BlockStatus.Ok);
    }

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range) => new(BlockStatus.Ok);

    public ValueTask<BlockStatus> SetLengthAsync(long lengthBytes)
    {
        try
        {
            RandomAccess.SetLength(handle, lengthBytes);
            Volatile.Write(ref this.lengthBytes, lengthBytes);
            return new(BlockStatus.Ok);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            return new(StatusOf(e));
        }
    }

    public ValueTask<BlockStatus> FlushAsync()
    {
        try
        {
            RandomAccess.FlushToDisk(handle);
            return new(BlockStatus.Ok);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or UnauthorizedAccessException)
        {
            return new(StatusOf(e));
        }
    }

    public ValueTask DisposeAsync()
    {
        handle.Dispose();
        return ValueTask.CompletedTask;
    }

    private static BlockStatus StatusOf(Exception e) => e switch
    {
        ObjectDisposedException => BlockStatus.Shutdown,
        UnauthorizedAccessException => BlockStatus.NotPermitted,
        _ => e.HResult is Enospc or Efbig or Edquot ? BlockStatus.NoSpace : BlockStatus.IoError,
    };

    private void Grown(long endBytes)
    {
        long known = Volatile.Read(ref lengthBytes);
        while (endBytes > known)
        {
            long seen = Interlocked.CompareExchange(ref lengthBytes, endBytes, known);
            if (seen == known)
            {
                return;
            }

            known = seen;
        }
    }
}
