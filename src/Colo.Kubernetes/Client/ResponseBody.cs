using System.Buffers;

namespace Colo.Kubernetes;

/// <summary>A whole body in a rented array; disposing it gives the array back.</summary>
internal sealed class ResponseBody : IDisposable
{
    private const int FirstBytes = 16 * 1024;

    private byte[] buffer;
    private int length;

    private ResponseBody(int capacity) => buffer = ArrayPool<byte>.Shared.Rent(capacity);

    public ReadOnlySpan<byte> Span => buffer.AsSpan(0, length);

    /// <summary>A body above <paramref name="maxBytes"/> is refused before it is held.</summary>
    public static async Task<ResponseBody> ReadAsync(HttpResponseMessage response, int maxBytes, CancellationToken token)
    {
        long announced = response.Content.Headers.ContentLength ?? FirstBytes;
        if (announced > maxBytes)
        {
            throw TooLong(maxBytes);
        }

        ResponseBody body = new((int)Math.Max(announced, 1) + 1);
        try
        {
            await using Stream stream = await response.Content.ReadAsStreamAsync(token);
            await body.FillAsync(stream, maxBytes, token);
            return body;
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        byte[] rented = Interlocked.Exchange(ref buffer, []);
        length = 0;
        if (rented.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private async Task FillAsync(Stream stream, int maxBytes, CancellationToken token)
    {
        while (true)
        {
            if (length == buffer.Length)
            {
                Grow();
            }

            int read = await stream.ReadAsync(buffer.AsMemory(length), token);
            if (read == 0)
            {
                return;
            }

            length += read;
            if (length > maxBytes)
            {
                throw TooLong(maxBytes);
            }
        }
    }

    private void Grow()
    {
        byte[] larger = ArrayPool<byte>.Shared.Rent(checked(buffer.Length * 2));
        Span.CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        buffer = larger;
    }

    private static ApiException TooLong(int maxBytes) =>
        new(ApiErrorKind.Malformed, $"the answer is longer than {maxBytes} bytes");
}
