using System.Globalization;
using System.Net.Sockets;
using Colo.AgentApi;
using Colo.Testing;
using Grpc.Net.Client;

namespace Colo.PowerCut.Tests;

/// <summary>
/// Two real agents, a and b, under one strace that records, with all data, each call by which they change files. They run under a boot id of
/// their own, so that whoever opens their files later is another boot.
/// </summary>
public sealed class TracedPair : IAsyncDisposable
{
    private const string Calls =
        "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,sync,syncfs,sync_file_range,"
        + "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat,copy_file_range,sendfile,splice,statx,"
        + "io_uring_setup";

    private readonly string root;
    private readonly Dictionary<string, GrpcChannel> channels = new(StringComparer.Ordinal);
    private RunningTool? strace;

    private TracedPair(string root)
    {
        this.root = root;
        foreach (string node in new[] { "a", "b" })
        {
            channels[node] = Open(Path.Combine(root, node, "grpc.sock"));
        }
    }

    /// <summary>Of the recorded boot.</summary>
    public static string RecordedBoot => "11111111-2222-4333-8444-555555555555";

    public string TracePath => Path.Combine(root, "trace");

    public AgentApi.Agent.AgentClient A => new(channels["a"]);

    public AgentApi.Agent.AgentClient B => new(channels["b"]);

    public string PoolOf(string node) => Path.Combine(root, node, "pool");

    public string Records => RecordsOf(root);

    public string GuestUri(string node, string uid) => $"nbd+unix:///{uid}?socket={Path.Combine(root, node, "s", uid + ".sock")}";

    public static string RecordsOf(string root) => Path.Combine(root, "records");

    /// <summary>As both the recorded agents and those that recover are started.</summary>
    public static IReadOnlyList<string> Arguments(string root, string node, string run) =>
    [
        "--node-name", node,
        "--pool", $"default={Path.Combine(root, node, "pool")}",
        "--socket-directory", Path.Combine(run, "s"),
        "--memory-buffer-directory", Path.Combine(root, node, "mem"),
        "--grpc-listen", "unix:" + Path.Combine(run, "grpc.sock"),
        "--replication-listen", "127.0.0.1:0",
        "--metrics-listen", "127.0.0.1:0",
        "--arbiter-directory", RecordsOf(root),
        "--retry-milliseconds", "50",
    ];

    public static async Task<TracedPair> StartAsync(string root)
    {
        TracedPair pair = new(root);
        try
        {
            await pair.StartAsync();
            return pair;
        }
        catch
        {
            await pair.DisposeAsync();
            throw;
        }
    }

    public async Task KillAsync(string node) => await SignalAsync(node, "KILL");

    /// <summary>Ends it in order, and starts it again under the same recording.</summary>
    public async Task RestartAsync(string node)
    {
        await File.WriteAllTextAsync(Path.Combine(root, "again"), "");
        await SignalAsync(node, "TERM");
        AgentApi.Agent.AgentClient client = new(channels[node]);
        await Eventually.TrueAsync(() => AnswersAsync(client), $"agent {node} answers again");
    }

    /// <summary>Ends both in order, where they still run, and the recording with them.</summary>
    public async Task<SystemCallLog> EndAsync(params string[] stillRunning)
    {
        foreach (string node in stillRunning)
        {
            await SignalAsync(node, "TERM");
        }

        await strace!.WaitAsync();
        return StraceLog.Parse(File.ReadLines(TracePath));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (GrpcChannel channel in channels.Values)
        {
            channel.Dispose();
        }

        await (strace?.DisposeAsync() ?? ValueTask.CompletedTask);
    }

    private async Task StartAsync()
    {
        // Of whoever installs an agent, and there before it.
        Directory.CreateDirectory(Records);
        Directory.CreateDirectory(PoolOf("a"));
        Directory.CreateDirectory(PoolOf("b"));
        string boot = Path.Combine(root, "boot_id");
        await File.WriteAllTextAsync(boot, RecordedBoot + "\n");
        string agents = string.Join(' ', new[] { "a", "b" }.Select(node =>
            $"agent {node} dotnet exec {Path.Combine(AppContext.BaseDirectory, "colo-agent.dll")} "
            + string.Join(' ', Arguments(root, node, Path.Combine(root, node))) + " &"));
        string script = $$"""
            life() { echo $BASHPID >{{root}}/$1.pid; shift; exec "$@"; }
            agent() { while true; do (life "$@") || break; rm {{root}}/again 2>/dev/null || break; done; }
            {{agents}}
            wait
            """;
        string launcher = Path.Combine(root, "agents.sh");
        await File.WriteAllTextAsync(launcher, script);
        strace = RunningTool.Start("unshare", [
            .. Environment.IsPrivilegedProcess ? Array.Empty<string>() : ["--map-root-user"],
            "--mount", "bash", "-euc",
            $"mount --bind {boot} /proc/sys/kernel/random/boot_id; "
                + $"exec strace -f --seccomp-bpf -y -xx -v -s 33554432 --timestamps=unix,ns -o {TracePath} -e trace={Calls} bash {launcher}",
        ]);
        foreach (string node in channels.Keys)
        {
            AgentApi.Agent.AgentClient client = new(channels[node]);
            await Eventually.TrueAsync(() => AnswersAsync(client), $"agent {node} answers");
        }
    }

    private async Task<bool> AnswersAsync(AgentApi.Agent.AgentClient client)
    {
        if (strace!.Process.HasExited)
        {
            throw new InvalidOperationException($"the recording ended:\n{strace.Output}\n{strace.Error}");
        }

        try
        {
            await client.StatusAsync(new StatusRequest());
            return true;
        }
        catch (Grpc.Core.RpcException)
        {
            return false;
        }
    }

    private async Task SignalAsync(string node, string signal)
    {
        string pid = (await File.ReadAllTextAsync(Path.Combine(root, node + ".pid"))).Trim();
        (await Tool.RunAsync("/bin/kill", "-" + signal, pid)).EnsureSuccess();
        await Eventually.TrueAsync(() => !IsAlive(pid), $"agent {node} has ended");
    }

    private static bool IsAlive(string pid)
    {
        try
        {
            // A zombie waits for its shell; it writes nothing any more.
            return !File.ReadAllText($"/proc/{pid}/stat").Contains(") Z", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException)
        {
            return false;
        }
    }

    private static GrpcChannel Open(string path) => GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions
    {
        HttpHandler = new SocketsHttpHandler
        {
            ConnectCallback = async (_, token) =>
            {
                Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), token);
                return new NetworkStream(socket, ownsSocket: true);
            },
        },
    });
}
