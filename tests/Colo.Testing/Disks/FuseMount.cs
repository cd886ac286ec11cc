using System.Buffers.Binary;
using System.Globalization;

namespace Colo.Testing.Disks;

/// <summary>
/// A directory that shows another one, with its faults; served by threads of this process, so that it ends with it: whoever has something
/// open there gets errors then, and nothing hangs.
/// </summary>
internal sealed class FuseMount : IAsyncDisposable
{
    public const string FileSystemType = "fuse.colo-faulty";

    /// <summary>As many requests are under way at once; more wait in the kernel.</summary>
    private const int Threads = 8;
    private const int MessageBytes = PassThrough.MostWriteBytes + 4096;
    private const int ReplyHeaderBytes = 16;
    private const int UnmountAttempts = 50;
    private static readonly TimeSpan UnmountInterval = TimeSpan.FromMilliseconds(100);

    private readonly string directory;
    private readonly int channel;
    private readonly PassThrough files;
    private readonly Task serving;
    private volatile bool ending;

    private FuseMount(string directory, int channel, PassThrough files)
    {
        (this.directory, this.channel, this.files) = (directory, channel, files);
        serving = Task.WhenAll(Enumerable.Range(0, Threads).Select(_ => Task.Factory.StartNew(Serve, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));
    }

    /// <summary>Null: it is served.</summary>
    public string? Crash => serving.IsCompleted && !ending ? $"{directory} is not served any more: {serving.Exception}" : null;

    public static FuseMount Create(string source, string directory, string below, DiskFaults faults)
    {
        int channel = Posix.Open("/dev/fuse", Posix.O_RDWR);
        if (channel < 0)
        {
            throw new IOException(string.Create(CultureInfo.InvariantCulture, $"/dev/fuse: errno {-channel}"));
        }

        PassThrough files = new(below, faults);
        string data = string.Create(CultureInfo.InvariantCulture, $"fd={channel},rootmode=40755,user_id=0,group_id=0,allow_other,default_permissions");
        int status = Posix.Mount(source, directory, FileSystemType, data);
        if (status < 0)
        {
            files.Dispose();
            _ = Posix.Close(channel);
            throw new IOException(string.Create(CultureInfo.InvariantCulture, $"mount {directory}: errno {-status}"));
        }

        return new FuseMount(directory, channel, files);
    }

    public async ValueTask DisposeAsync()
    {
        ending = true;

        // By force: it ends the connection, which other namespaces may have a copy of the mount of.
        for (int attempt = 0; attempt < UnmountAttempts && (await Tool.RunAsync("umount", "--force", directory)).ExitCode != 0; attempt++)
        {
            await Task.Delay(UnmountInterval);
        }

        await Tool.RunAsync("umount", "--force", "--lazy", directory);

        await serving;
        files.Dispose();
        _ = Posix.Close(channel);
    }

    private void Serve()
    {
        byte[] message = new byte[MessageBytes], reply = new byte[MessageBytes];
        while (true)
        {
            int length = Posix.Read(channel, message);
            if (length < 0)
            {
                // Interrupted before it was read: the next one. Anything else is the end of the connection.
                if (length is -Posix.ENOENT or -Posix.EINTR or -Posix.EAGAIN)
                {
                    continue;
                }

                return;
            }

            FuseRequest request = new(message.AsSpan(0, length));
            int body = Body(request, reply.AsSpan(ReplyHeaderBytes));
            if (body == PassThrough.NoAnswer)
            {
                continue;
            }

            int whole = ReplyHeaderBytes + Math.Max(body, 0);
            BinaryPrimitives.WriteInt32LittleEndian(reply, whole);
            BinaryPrimitives.WriteInt32LittleEndian(reply.AsSpan(4), Math.Min(body, 0));
            BinaryPrimitives.WriteUInt64LittleEndian(reply.AsSpan(8), request.Unique);
            _ = Posix.Write(channel, reply.AsSpan(0, whole));
        }
    }

    private int Body(FuseRequest request, Span<byte> reply)
    {
        try
        {
            return files.Handle(request, reply);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return -Posix.EIO;
        }
    }
}
