using System.Net;
using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Nbd.Wire;
using Colo.Testing;

namespace Colo.Nbd.Tests.Server;

/// <summary>Connections come, go, are cut and are drained.</summary>
public sealed class LifetimeTests
{
    private const int Size = 1 << 20;

    [Fact]
    public async Task An_export_knows_its_connections()
    {
        int connected = 0;
        int disconnected = 0;
        NbdExport export = new(string.Empty, new MemoryDisk(Size))
        {
            Connected = _ => Interlocked.Increment(ref connected),
            Disconnected = _ => Interlocked.Increment(ref disconnected),
        };
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient one = server.Open();
        RawClient two = server.Open();
        export.Connections.Count.ShouldBe(2);
        one.Dispose();
        await Eventually.TrueAsync(() => export.Connections.Count == 1, "one is gone");
        two.ReadDisk(0, 512).Length.ShouldBe(512);
        connected.ShouldBe(2);
        await Eventually.TrueAsync(() => Volatile.Read(ref disconnected) == 1, "its end was told");
    }

    [Fact]
    public async Task Disconnecting_an_export_cuts_its_connections_and_no_others()
    {
        NbdExport a = new("a", new MemoryDisk(Size));
        NbdExport b = new("b", new MemoryDisk(Size));
        await using ServerFixture server = await ServerFixture.StartAsync(new NbdExportTable(a, b));
        RawClient toA = server.Connect().Greet().Go("a");
        RawClient toB = server.Connect().Greet().Go("b");
        await a.DisconnectAllAsync();
        toA.ShouldBeClosed();
        a.Connections.ShouldBeEmpty();
        toB.ReadDisk(0, 512).Length.ShouldBe(512);
        server.Connect().Greet().Go("a").ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task Disconnecting_waits_until_the_device_has_let_go()
    {
        TaskCompletionSource gate = new();
        TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        MemoryDisk disk = new(Size)
        {
            Gate = (_, _) =>
            {
                begun.TrySetResult();
                return gate.Task;
            },
        };
        NbdExport export = new(string.Empty, disk);
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient client = server.Open();
        client.Request(NbdCommand.Write, 1, 0, 512, payload: new byte[512]);
        await begun.Task;
        Task cut = export.DisconnectAllAsync();
        client.ShouldBeClosed();
        cut.IsCompleted.ShouldBeFalse();
        gate.SetResult();
        await cut.WaitAsync(TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task A_closed_export_takes_no_connection()
    {
        NbdExport export = new(string.Empty, new MemoryDisk(Size));
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        await export.CloseAsync();
        RawClient client = server.Connect().Greet();
        client.AskLast(NbdOption.Go, Bytes.InfoRequest(string.Empty)).ShouldBe(NbdOptionReply.ErrorShutdown);
    }

    [Fact]
    public async Task Stopping_answers_what_was_begun_flushes_and_closes()
    {
        TaskCompletionSource gate = new();
        TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        MemoryDisk disk = new(Size)
        {
            Gate = (op, _) =>
            {
                begun.TrySetResult();
                return op is "flush" ? Task.CompletedTask : gate.Task;
            },
        };
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open();
        RawClient idle = server.Open();
        client.Request(NbdCommand.Write, 1, 0, 512, payload: new byte[512]);
        await begun.Task;
        Task stopped = server.Server.StopAsync(TimeSpan.FromSeconds(30));
        idle.ShouldBeClosed();
        gate.SetResult();
        client.ReadChunk(0).ShouldBeEquivalentTo(new Chunk(NbdReplyType.None, true, 1, 0, 0, []));
        client.ShouldBeClosed();
        await stopped;
        disk.Flushes.ShouldBe(1);
        File.Exists(server.Path).ShouldBeFalse();
    }

    [Fact]
    public async Task Stopping_cuts_what_is_not_drained_in_time()
    {
        TaskCompletionSource gate = new();
        TaskCompletionSource begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
        MemoryDisk disk = new(Size)
        {
            Gate = (op, _) =>
            {
                begun.TrySetResult();
                return op is "flush" ? Task.CompletedTask : gate.Task;
            },
        };
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient client = server.Open();
        client.Request(NbdCommand.Write, 1, 0, 512, payload: new byte[512]);
        await begun.Task;
        await server.Server.StopAsync(TimeSpan.FromMilliseconds(100));
        client.ShouldBeClosed();
        gate.SetResult();
    }

    [Fact]
    public async Task More_connections_than_the_limit_are_closed_at_once_and_the_others_live_on()
    {
        await using ServerFixture server = await ServerFixture.StartAsync(
            new MemoryDisk(Size), new NbdServerOptions { MaxConnections = 2, BusyPoll = TimeSpan.Zero });
        RawClient one = server.Open();
        server.Open();
        server.Connect().ShouldBeClosed();
        one.Dispose();
        await Eventually.TrueAsync(() => server.Server.ConnectionCount == 1, "a place is free again");
        server.Open().ReadDisk(0, 512).Length.ShouldBe(512);
    }

    [Fact]
    public async Task A_hostile_connection_never_disturbs_another()
    {
        RecordingDisk disk = new(Size);
        await using ServerFixture server = await ServerFixture.StartAsync(disk);
        RawClient good = server.Open(structured: true);
        byte[] data = Bytes.Pattern(4096);
        good.Error(NbdCommand.Write, 0, 4096, payload: data).ShouldBe(0u);
        for (int seed = 0; seed < 60; seed++)
        {
            RawClient bad = seed % 2 == 0 ? server.Connect().Greet() : server.Open(structured: seed % 3 == 0);
            Random random = new(seed);
            byte[] noise = new byte[random.Next(1, 5000)];
            random.NextBytes(noise);
            if (seed % 4 == 1)
            {
                // Right magic, and nothing right behind it; kept off the data that is compared below.
                Bytes.UInt32(NbdMagic.Request).CopyTo(noise, 0);
                noise[Math.Min(noise.Length - 1, 16)] = 0xFF;
            }

            bad.Send(noise);
            bad.Dispose();
            good.ReadDisk(0, 4096).ShouldBe(data, $"seed {seed}");
        }
    }

    [Fact]
    public async Task A_truncated_write_never_reaches_the_device()
    {
        RecordingDisk disk = new(Size);
        NbdExport export = new(string.Empty, disk);
        await using ServerFixture server = await ServerFixture.StartAsync(export);
        RawClient client = server.Open();
        client.Request(NbdCommand.Write, 1, 0, 4096, payload: new byte[4095]);
        client.Dispose();
        await Eventually.TrueAsync(() => export.Connections.Count == 0, "it is gone");
        disk.Calls.ShouldBeEmpty();
    }

    [Fact]
    [System.Runtime.Versioning.SupportedOSPlatform("linux")]
    public async Task A_socket_file_left_by_a_dead_server_is_replaced_and_a_live_one_is_not()
    {
        using TempDirectory directory = new();
        string path = directory.File("s");
        using (System.Net.Sockets.Socket dead = new(
            System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, System.Net.Sockets.ProtocolType.Unspecified))
        {
            dead.Bind(new System.Net.Sockets.UnixDomainSocketEndPoint(path));
            File.Move(path, path + ".left"); // disposing removes the file it made: keep it, as SIGKILL does
        }

        File.Move(path + ".left", path);
        NbdServerOptions options = new() { Listeners = [new NbdListener.Unix(path)] };
        await using NbdServer first = new(options, new NbdExportTable());
        await first.StartAsync();
        File.GetUnixFileMode(path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await using NbdServer second = new(options, new NbdExportTable());
        (await Should.ThrowAsync<IOException>(() => second.StartAsync())).Message.ShouldContain("another process serves there");
        File.Exists(path).ShouldBeTrue();
    }

    [Fact]
    public async Task A_port_is_one_servers_alone()
    {
        await using NbdServer first = new(
            new NbdServerOptions { Listeners = [new NbdListener.Tcp(new(IPAddress.Loopback, 0))] }, new NbdExportTable());
        await first.StartAsync();
        IPEndPoint taken = (IPEndPoint)first.Endpoints.ShouldHaveSingleItem();
        await using NbdServer second = new(new NbdServerOptions { Listeners = [new NbdListener.Tcp(taken)] }, new NbdExportTable());
        (await Should.ThrowAsync<IOException>(() => second.StartAsync())).Message.ShouldContain($"cannot listen on {taken}");
    }

    [Fact]
    public async Task It_serves_on_tcp_and_says_on_which_port()
    {
        NbdServerOptions options = new() { Listeners = [new NbdListener.Tcp(new IPEndPoint(IPAddress.Loopback, 0))] };
        await using NbdServer server = new(options, new NbdExportTable(new NbdExport("x", new MemoryDisk(Size))));
        await server.StartAsync();
        int port = ((IPEndPoint)server.Endpoints.ShouldHaveSingleItem()).Port;
        using System.Net.Sockets.TcpClient tcp = new();
        await tcp.ConnectAsync(IPAddress.Loopback, port);
        byte[] greeting = new byte[18];
        await tcp.GetStream().ReadExactlyAsync(greeting);
        greeting.AsSpan(0, 8).SequenceEqual("NBDMAGIC"u8).ShouldBeTrue();
    }

    [Fact]
    public void Options_out_of_range_are_refused_by_name()
    {
        Should.Throw<ArgumentException>(() => new NbdServer(new() { MaxConnections = 0 }, new NbdExportTable()))
            .Message.ShouldContain("MaxConnections");
        Should.Throw<ArgumentException>(() => new NbdServer(new() { BusyPoll = TimeSpan.FromSeconds(1) }, new NbdExportTable()))
            .Message.ShouldContain("BusyPoll");
    }

    [Fact]
    public async Task Activation_without_passed_sockets_is_a_clear_error()
    {
        await using NbdServer server = new(new() { Listeners = [new NbdListener.Activated()] }, new NbdExportTable());
        (await Should.ThrowAsync<IOException>(() => server.StartAsync())).Message.ShouldContain("LISTEN_PID");
    }
}
