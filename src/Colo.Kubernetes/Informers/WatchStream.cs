using System.Buffers;

namespace Colo.Kubernetes;

/// <summary>The lines of one watch response, until the server ends it or says nothing for the idle bound. Disposing it closes the request.</summary>
internal sealed class WatchStream<T> : IAsyncDisposable
{
    private const int FirstBytes = 16 * 1024;

    /// <summary>Twice what etcd holds as one object, and JSON's overhead.</summary>
    private const int MaxLineBytes = 4 << 20;

    private readonly HttpResponseMessage response;
    private readonly Stream body;
    private readonly ResourceType<T> type;
    private readonly TimeSpan idle;
    private readonly TimeProvider time;
    private byte[] buffer = ArrayPool<byte>.Shared.Rent(FirstBytes);
    private int start;
    private int end;
    private int searched;

    private WatchStream(HttpResponseMessage response, Stream body, ResourceType<T> type, TimeSpan idle, TimeProvider time)
    {
        this.response = response;
        this.body = body;
        this.type = type;
        this.idle = idle;
        this.time = time;
    }

    public static async Task<WatchStream<T>> OpenAsync(
        HttpResponseMessage response, ResourceType<T> type, TimeSpan idle, TimeProvider time, CancellationToken token)
    {
        try
        {
            return new WatchStream<T>(response, await response.Content.ReadAsStreamAsync(token), type, idle, time);
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    /// <summary>Null when the server ended the watch in good order (its timeout) or was silent for the idle bound; an
    /// <see cref="ApiException"/> when the connection broke or the server sent an ERROR.</summary>
    public async ValueTask<WatchEvent<T>?> NextAsync(CancellationToken token)
    {
        while (true)
        {
            int newline = buffer.AsSpan(searched, end - searched).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                ReadOnlyMemory<byte> line = buffer.AsMemory(start, searched + newline - start);
                start = searched = searched + newline + 1;
                if (line.Length > 0)
                {
                    return WatchEvent<T>.Parse(line.Span, type);
                }

                continue;
            }

            searched = end;
            MakeRoom();
            int read = await ReadAsync(token);
            if (read == 0)
            {
                return null;
            }

            end += read;
        }
    }

    public async ValueTask DisposeAsync()
    {
        byte[] rented = Interlocked.Exchange(ref buffer, []);
        if (rented.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }

        await body.DisposeAsync();
        response.Dispose();
    }

    /// <summary>Zero at the end and after a silence.</summary>
    private async ValueTask<int> ReadAsync(CancellationToken token)
    {
        using CancellationTokenSource silence = new(idle, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(silence.Token, token);
        try
        {
            return await body.ReadAsync(buffer.AsMemory(end), either.Token);
        }
        catch (OperationCanceledException) when (silence.IsCancellationRequested && !token.IsCancellationRequested)
        {
            return 0;
        }
        catch (Exception e) when (ApiRequests.IsSilence(e, token))
        {
            throw new ApiException(ApiErrorKind.Unreachable, $"the watch of {type.Plural} broke: {e.GetBaseException().Message}", inner: e);
        }
    }

    private void MakeRoom()
    {
        if (end < buffer.Length)
        {
            return;
        }

        int length = end - start;
        if (length >= MaxLineBytes)
        {
            throw new ApiException(ApiErrorKind.Malformed, $"a watch of {type.Plural} sent a line above {MaxLineBytes} bytes");
        }

        // A line that fills the buffer needs a larger one; else what was read already makes room.
        byte[] target = length > buffer.Length / 2 ? ArrayPool<byte>.Shared.Rent(buffer.Length * 2) : buffer;
        buffer.AsSpan(start, length).CopyTo(target);
        if (target != buffer)
        {
            ArrayPool<byte>.Shared.Return(buffer);
            buffer = target;
        }

        start = 0;
        end = searched = length;
    }
}
