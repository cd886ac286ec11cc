using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Conformance.Tests.RealServers;

/// <summary>Servers that are killed in the middle of writes and come back with the same file.</summary>
public class ServerRestartTests
{
    private const int Size = 16 << 20;
    private const int Kills = 4;

    private static readonly ReconnectPolicy Patient = new()
    {
        MaxAttempts = 10_000,
        InitialDelay = TimeSpan.FromMilliseconds(5),
        MaxDelay = TimeSpan.FromMilliseconds(20),
        Deadline = TimeSpan.FromSeconds(60),
    };

    [Fact]
    public Task Nbdkit_killed_in_the_middle_of_writes_loses_none() =>
        SurviveKillsAsync((socket, file) => RealServer.NbdkitAtAsync(socket, "file", file));

    [Fact]
    public Task Qemu_nbd_killed_in_the_middle_of_writes_loses_none() =>
        SurviveKillsAsync((socket, file) => RealServer.QemuNbdAtAsync(socket, "-f", "raw", file));

    [Fact]
    public async Task A_server_that_comes_back_with_another_size_is_refused()
    {
        using TempDirectory directory = new();
        string socket = directory.File("nbd.sock");
        RealServer server = await RealServer.NbdkitAtAsync(socket, "memory", "8M");
        await using NbdClientDevice client = await NbdClient.ConnectAsync(server.Options with { Reconnect = Patient });
        await server.KillAsync();
        await server.DisposeAsync();
        await Eventually.TrueAsync(() => client.State == NbdClientState.Reconnecting, "the loss is seen");

        await using RealServer other = await RealServer.NbdkitAtAsync(socket, "memory", "9M");

        (await client.WriteAsync(0, new byte[512])).ShouldBe(BlockStatus.IoError);
        (client.State, client.LastError!.Kind).ShouldBe((NbdClientState.Failed, NbdClientErrorKind.ExportChanged));
    }

    [Fact]
    public async Task A_server_that_does_not_come_back_is_given_up_by_the_deadline()
    {
        RealServer server = await RealServer.NbdkitAsync("memory", "8M");
        ReconnectPolicy impatient = Patient with { Deadline = TimeSpan.FromMilliseconds(200) };
        await using NbdClientDevice client = await NbdClient.ConnectAsync(server.Options with { Reconnect = impatient });
        await server.KillAsync();
        await server.DisposeAsync();

        (await client.WriteAsync(0, new byte[512])).ShouldBe(BlockStatus.IoError);

        (client.State, client.LastError!.Kind).ShouldBe((NbdClientState.Failed, NbdClientErrorKind.Unreachable));
    }

    /// <summary>
    /// Writers, each on blocks of its own, count up what they write to a block, one write a block at a time; after the kills every
    /// block must hold exactly its last acknowledged count.
    /// </summary>
    private static async Task SurviveKillsAsync(Func<string, string, Task<RealServer>> startAsync)
    {
        const int Writers = 16;
        const int BlockBytes = 64 << 10;
        const int BlocksOfWriter = Size / BlockBytes / Writers;
        using TempDirectory directory = new(onTmpfs: true);
        string file = directory.File("disk.raw");
        string socket = directory.File("nbd.sock");
        (await Tool.RunAsync("truncate", "-s", "16M", file)).EnsureSuccess();
        RealServer server = await startAsync(socket, file);
        int[,] acknowledged = new int[Writers, BlocksOfWriter];
        long written = 0;
        bool stop = false;
        try
        {
            await using NbdClientDevice client = await NbdClient.ConnectAsync(server.Options with { Reconnect = Patient });
            Task[] writers = [.. Enumerable.Range(0, Writers).Select(WriteAsync)];
            for (int kill = 0; kill < Kills; kill++)
            {
                long before = Volatile.Read(ref written);
                await Eventually.TrueAsync(() => Volatile.Read(ref written) > before + 200, "the writers make progress");
                await server.KillAsync();
                await server.DisposeAsync();
                server = await startAsync(socket, file);
            }

            long last = Volatile.Read(ref written);
            await Eventually.TrueAsync(() => Volatile.Read(ref written) > last + 200, "the writers make progress");
            Volatile.Write(ref stop, value: true);
            await Task.WhenAll(writers);
            (await client.FlushAsync()).ShouldBe(BlockStatus.Ok);
            client.Counters.Reconnects.ShouldBeGreaterThanOrEqualTo(Kills);

            byte[] content = await File.ReadAllBytesAsync(file);
            for (int writer = 0; writer < Writers; writer++)
            {
                for (int block = 0; block < BlocksOfWriter; block++)
                {
                    ReadOnlySpan<byte> bytes = content.AsSpan(OffsetOf(writer, block), BlockBytes);
                    Contains(bytes, writer, acknowledged[writer, block]).ShouldBeTrue($"writer {writer}, block {block}");
                }
            }

            async Task WriteAsync(int writer)
            {
                Random random = new(writer);

                // In place for odd writers, behind the header for even ones.
                byte[] payload = new byte[BlockBytes];
                while (!Volatile.Read(ref stop))
                {
                    int block = random.Next(BlocksOfWriter);
                    int count = acknowledged[writer, block] + 1;
                    Fill(payload, writer, count);
                    int half = writer % 2 == 0 ? BlockBytes / 2 : BlockBytes;
                    for (int at = 0; at < BlockBytes; at += half)
                    {
                        (await client.WriteAsync(OffsetOf(writer, block) + at, payload.AsMemory(at, half))).ShouldBe(BlockStatus.Ok);
                    }

                    acknowledged[writer, block] = count;
                    Interlocked.Increment(ref written);
                }
            }
        }
        finally
        {
            Volatile.Write(ref stop, value: true);
            await server.DisposeAsync();
        }

        static int OffsetOf(int writer, int block) => ((writer * BlocksOfWriter) + block) * BlockBytes;

        static void Fill(byte[] payload, int writer, int count)
        {
            for (int at = 0; at < payload.Length; at += 8)
            {
                BitConverter.TryWriteBytes(payload.AsSpan(at), writer);
                BitConverter.TryWriteBytes(payload.AsSpan(at + 4), count);
            }
        }

        static bool Contains(ReadOnlySpan<byte> bytes, int writer, int count)
        {
            for (int at = 0; at < bytes.Length; at += 8)
            {
                if (BitConverter.ToInt32(bytes[(at + 4)..]) != count || BitConverter.ToInt32(bytes[at..]) != (count == 0 ? 0 : writer))
                {
                    return false;
                }
            }

            return true;
        }
    }
}
