using Colo.Nbd.Server;
using Colo.Testing;

namespace Colo.Conformance.Tests.ServerSide;

/// <summary>Sockets handed over as systemd does it: from descriptor 3 on, announced by LISTEN_PID and LISTEN_FDS.</summary>
public sealed class SocketActivationTests
{
    private const string StopFileVariable = "COLO_TEST_STOP_FILE";

    [Fact]
    public async Task A_server_takes_over_passed_unix_and_tcp_sockets()
    {
        using TempDirectory directory = new();
        string path = directory.File("nbd.sock");
        string stop = directory.File("stop");
        string port = directory.File("port");
        const string launcher = """
            import os, socket, sys
            unix = socket.socket(socket.AF_UNIX); unix.bind(sys.argv[1]); unix.listen()
            tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen()
            open(sys.argv[2], "w").write(str(tcp.getsockname()[1]))
            a, b = os.dup(unix.fileno()), os.dup(tcp.fileno())
            spare_a, spare_b = os.dup(a), os.dup(b)
            while spare_a < 10: spare_a = os.dup(spare_a)
            while spare_b < 10: spare_b = os.dup(spare_b)
            os.dup2(spare_a, 3, inheritable=True); os.dup2(spare_b, 4, inheritable=True)
            os.environ["LISTEN_PID"], os.environ["LISTEN_FDS"] = str(os.getpid()), "2"
            os.execvp(sys.argv[3], sys.argv[3:])
            """;
        await using RunningTool host = RunningTool.Start(
            "/usr/bin/python3",
            [
                "-c", launcher, path, port, Path.ChangeExtension(typeof(SocketActivationTests).Assembly.Location, null),
                "-explicit", "only", "-method", $"{typeof(SocketActivationTests).FullName}.{nameof(Host_of_the_passed_sockets)}",
            ],
            new Dictionary<string, string>(StringComparer.Ordinal) { [StopFileVariable] = stop });

        // The sockets listen before the server does: a client that comes early just waits.
        await Eventually.TrueAsync(() => File.Exists(port) && new FileInfo(port).Length > 0, "the sockets are there");
        (await Tool.RunAsync("nbdinfo", "--size", $"nbd+unix:///disk?socket={path}")).EnsureSuccess().Trim().ShouldBe("1048576");
        string tcp = $"nbd://127.0.0.1:{await File.ReadAllTextAsync(port)}/disk";
        (await Tool.RunAsync("nbdinfo", "--size", tcp)).EnsureSuccess().Trim().ShouldBe("1048576");
        await File.WriteAllTextAsync(stop, string.Empty);
        (await host.WaitAsync()).EnsureSuccess();
    }

    /// <summary>The process that the test above starts; never run as a test of its own.</summary>
    [Fact(Explicit = true)]
    public async Task Host_of_the_passed_sockets()
    {
        string stop = Environment.GetEnvironmentVariable(StopFileVariable).ShouldNotBeNull();
        await using NbdServer server = new(
            new() { Listeners = [new NbdListener.Activated()] }, new NbdExportTable(new NbdExport("disk", new MemoryDisk(1 << 20))));
        await server.StartAsync();
        server.Endpoints.Count.ShouldBe(2);
        await Eventually.TrueAsync(() => File.Exists(stop), "told to stop");
    }
}
