using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Conformance.Tests.RealServers;

/// <summary>A real NBD server of this machine, on a unix socket or a loopback port, ready for connections.</summary>
internal sealed class RealServer : IAsyncDisposable
{
    private readonly TempDirectory directory;
    private readonly RunningTool tool;

    private RealServer(TempDirectory directory, RunningTool tool, NbdEndpoint endpoint) =>
        (this.directory, this.tool, Endpoint) = (directory, tool, endpoint);

    public NbdEndpoint Endpoint { get; }

    public NbdClientOptions Options => new() { Endpoint = Endpoint };

    public bool HasExited => tool.Process.HasExited;

    public Task<NbdClientDevice> ConnectAsync() => NbdClientDevice.ConnectAsync(Options);

    public static Task<RealServer> NbdkitAsync(params string[] arguments) => NbdkitAtAsync(null, arguments);

    /// <param name="socket">Where to listen; null: a socket of its own.</param>
    public static Task<RealServer> NbdkitAtAsync(string? socket, params string[] arguments) => StartAsync(
        "nbdkit", socket, (path, pidFile) => ["-f", "-v", "-U", path, "-P", pidFile, .. arguments]);

    public static Task<RealServer> QemuNbdAsync(params string[] arguments) => QemuNbdAtAsync(null, arguments);

    public static Task<RealServer> QemuNbdAtAsync(string? socket, params string[] arguments) => StartAsync(
        "qemu-nbd", socket, (path, pidFile) => ["-t", "-e", "8", "-k", path, $"--pid-file={pidFile}", .. arguments]);

    public static Task<RealServer> NbdkitOnTcpAsync(params string[] arguments) => StartOnTcpAsync(
        "nbdkit", (port, pidFile) => ["-f", "-i", "127.0.0.1", "-p", port, "-P", pidFile, .. arguments]);

    public static Task<RealServer> QemuNbdOnTcpAsync(params string[] arguments) => StartOnTcpAsync(
        "qemu-nbd", (port, pidFile) => ["-t", "-e", "8", "-b", "127.0.0.1", "-p", port, $"--pid-file={pidFile}", .. arguments]);

    /// <summary>SIGKILL, and the socket it leaves removed.</summary>
    public async Task KillAsync()
    {
        tool.Process.Kill();
        await tool.WaitAsync();
        File.Delete(Endpoint.UnixPath!);
    }

    /// <summary>SIGTERM: it closes its image in order.</summary>
    public async Task StopAsync()
    {
        (await Tool.RunAsync("kill", "-TERM", tool.Pid.ToString(CultureInfo.InvariantCulture))).EnsureSuccess();
        await tool.WaitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await tool.DisposeAsync();
        directory.Dispose();
    }

    private static async Task<RealServer> StartAsync(string program, string? socket, Func<string, string, string[]> arguments)
    {
        TempDirectory directory = new();
        string path = socket ?? directory.File("nbd.sock");
        string pidFile = directory.File("pid");
        RunningTool tool = RunningTool.Start(program, arguments(path, pidFile));
        await WaitUntilReadyAsync(tool, pidFile);
        return new RealServer(directory, tool, NbdEndpoint.Unix(path));
    }

    private static async Task<RealServer> StartOnTcpAsync(string program, Func<string, string, string[]> arguments)
    {
        TempDirectory directory = new();
        string pidFile = directory.File("pid");
        int port = LoopbackPort.FindFree();
        RunningTool tool = RunningTool.Start(program, arguments(port.ToString(CultureInfo.InvariantCulture), pidFile));
        await WaitUntilReadyAsync(tool, pidFile);
        return new RealServer(directory, tool, NbdEndpoint.Tcp("127.0.0.1", port));
    }

    /// <summary>Both programs write their pid file when they listen.</summary>
    private static Task WaitUntilReadyAsync(RunningTool tool, string pidFile) => Eventually.TrueAsync(
        () => tool.Process.HasExited
            ? throw new InvalidOperationException("the server did not start: " + tool.Error)
            : File.Exists(pidFile),
        "the server listens");
}
