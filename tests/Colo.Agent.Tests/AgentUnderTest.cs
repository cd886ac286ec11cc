using System.Diagnostics;
using System.Net.Sockets;
using Colo.AgentApi;
using Colo.Testing;
using Grpc.Net.Client;

namespace Colo.Agent.Tests;

/// <summary>A real colo-agent process of one node, under a directory of the test's own; restarts keep the directory.</summary>
public sealed class AgentUnderTest : IAsyncDisposable
{
    private const string Pool = "default";

    private readonly string root;
    private readonly string[] extra;
    private readonly GrpcChannel channel;
    private string[] launcher = [];
    private RunningTool? process;

    private AgentUnderTest(string node, string root, string arbiter, string[] extra)
    {
        (Node, this.root, ArbiterDirectory, this.extra) = (node, root, arbiter, extra);
        Directory.CreateDirectory(root);
        channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
        {
            HttpHandler = new SocketsHttpHandler
            {
                ConnectCallback = async (_, token) =>
                {
                    Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(GrpcSocket), token);
                    return new NetworkStream(socket, ownsSocket: true);
                },
            },
        });
        Client = new(channel);
    }

    public string Node { get; }

    public string ArbiterDirectory { get; }

    public GrpcChannel Channel => channel;

    public AgentApi.Agent.AgentClient Client { get; }

    public string PoolDirectory => Path.Combine(root, "pool");

    public string GrpcSocket => Path.Combine(root, "grpc.sock");

    public string BufferDirectory => Path.Combine(root, "mem");

    public string Log => process is null ? "" : process.Output + process.Error;

    public int Pid => process!.Pid;

    public string ReplicationAddress { get; private set; } = "";

    public string MetricsAddress { get; private set; } = "";

    public static Task<AgentUnderTest> StartAsync(string node, string root, string arbiter, params string[] extra) =>
        StartUnderAsync([], node, root, arbiter, extra);

    /// <param name="launcher">A command that runs the one behind it, such as setpriv.</param>
    /// <param name="node">Its name.</param>
    /// <param name="root">The agent's own directory is below.</param>
    /// <param name="arbiter">Directory of the record files.</param>
    /// <param name="extra">More arguments.</param>
    public static async Task<AgentUnderTest> StartUnderAsync(string[] launcher, string node, string root, string arbiter, params string[] extra)
    {
        AgentUnderTest agent = new(node, Path.Combine(root, node), arbiter, extra) { launcher = launcher };
        try
        {
            await agent.StartAsync();
            return agent;
        }
        catch
        {
            await agent.DisposeAsync();
            throw;
        }
    }

    /// <summary>Both, or neither: where one does not start, the other is not left behind.</summary>
    public static async Task<(AgentUnderTest A, AgentUnderTest B)> BothAsync(Task<AgentUnderTest> a, Task<AgentUnderTest> b)
    {
        try
        {
            await Task.WhenAll(a, b);
            return (await a, await b);
        }
        catch
        {
            foreach (Task<AgentUnderTest> started in new[] { a, b }.Where(t => t.IsCompletedSuccessfully))
            {
                await (await started).DisposeAsync();
            }

            throw;
        }
    }

    /// <summary>Starts the process (again) and waits until it answers.</summary>
    public async Task StartAsync()
    {
        string dll = Path.Combine(AppContext.BaseDirectory, "colo-agent.dll");
        MetricsAddress = $"127.0.0.1:{LoopbackPort.FindFree()}";

        // A restart keeps the replication port, as a real agent does: its peers know it.
        ReplicationAddress = ReplicationAddress.Length > 0 ? ReplicationAddress : $"127.0.0.1:{LoopbackPort.FindFree()}";
        string[] command = [.. launcher, "dotnet", "exec", dll];
        process = RunningTool.Start(command[0], [
            .. command[1..],
            "--node-name", Node,
            "--pool", $"{Pool}={PoolDirectory}",
            "--socket-directory", Path.Combine(root, "s"),
            "--memory-buffer-directory", BufferDirectory,
            "--grpc-listen", "unix:" + GrpcSocket,
            "--replication-listen", ReplicationAddress,
            "--metrics-listen", MetricsAddress,
            "--arbiter-directory", ArbiterDirectory,
            "--retry-milliseconds", "100",
            .. extra,
        ]);
        await Eventually.TrueAsync(
            async () =>
            {
                if (process.Process.HasExited)
                {
                    throw new InvalidOperationException($"the agent of {Node} ended:\n{Log}");
                }

                try
                {
                    await Client.StatusAsync(new StatusRequest());
                    return true;
                }
                catch (Grpc.Core.RpcException)
                {
                    return false;
                }
            },
            $"the agent of {Node} answers");
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        process!.Process.Kill();
        await process.Process.WaitForExitAsync();
    }

    /// <summary>SIGTERM; returns the exit status.</summary>
    public async Task<int> TerminateAsync()
    {
        (await Tool.RunAsync("/bin/kill", "-TERM", Pid.ToString(System.Globalization.CultureInfo.InvariantCulture))).EnsureSuccess();
        return (await process!.WaitAsync()).ExitCode;
    }

    /// <summary>Of a process that ends by itself.</summary>
    public async Task<int> WaitForExitAsync() => (await process!.WaitAsync()).ExitCode;

    public async Task SignalAsync(string signal) =>
        (await Tool.RunAsync("/bin/kill", "-" + signal, Pid.ToString(System.Globalization.CultureInfo.InvariantCulture))).EnsureSuccess();

    public async Task<VolumeStatus> StatusAsync(string uid) =>
        (await Client.StatusAsync(new StatusRequest { Uid = uid })).Volumes.ShouldHaveSingleItem();

    public async Task<string> ScrapeAsync()
    {
        using HttpClient http = new();
        return await http.GetStringAsync($"http://{MetricsAddress}/metrics");
    }

    public string DiskPath(string uid) => Path.Combine(PoolDirectory, uid, "disk.raw");

    public string GuestUri(string uid) => $"nbd+unix:///{uid}?socket={Path.Combine(root, "s", uid + ".sock")}";

    public string VmViewUri(string uid) => $"nbd+unix:///{uid}?socket={Path.Combine(root, "s", uid + "-vmview.sock")}";

    public async ValueTask DisposeAsync()
    {
        channel.Dispose();
        if (process is not null)
        {
            if (!process.Process.HasExited)
            {
                process.Process.Kill();
                await process.Process.WaitForExitAsync();
            }

            await process.DisposeAsync();
        }
    }
}
