using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.Operator.Tests.Kit;

/// <summary>A real colo-agent process of one node in Kubernetes mode; its ports stay over restarts, its disks too.</summary>
public sealed class AgentProcess(string node, string root, string @namespace, string kubeconfig, IReadOnlyList<string> extra) : IAsyncDisposable
{
    private readonly int grpcPort = LoopbackPort.FindFree();
    private readonly int replicationPort = LoopbackPort.FindFree();
    private readonly int metricsPort = LoopbackPort.FindFree();
    private RunningTool? process;

    public string Node => node;

    public string Root => root;

    public string Log => process is null ? "" : process.Output + process.Error;

    public string PoolDirectory => Path.Combine(root, "pool");

    public int GrpcPort => grpcPort;

    /// <summary>Of its next start, for its environment; null: the machine's.</summary>
    public SkewedClock? Clock { get; set; }

    public void Start() => process = RunningTool.Start(Built.Program("Colo.Agent", "colo-agent"),
    [
        "--node-name", node,
        "--pool", $"default={PoolDirectory}",
        "--socket-directory", Path.Combine(root, "s"),
        "--memory-buffer-directory", Path.Combine(root, "mem"),
        "--grpc-listen", $"127.0.0.1:{grpcPort}",
        "--replication-listen", $"127.0.0.1:{replicationPort}",
        "--metrics-listen", $"127.0.0.1:{metricsPort}",
        "--kubeconfig", kubeconfig,
        "--kubernetes-namespace", @namespace,
        "--retry-milliseconds", "100",
        .. extra,
    ],
    Clock?.Environment);

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        process!.Process.Kill();
        await process.Process.WaitForExitAsync();
    }

    public async Task SignalAsync(string signal) =>
        (await Tool.RunAsync("/bin/kill", "-" + signal, process!.Pid.ToString(CultureInfo.InvariantCulture))).EnsureSuccess();

    public async ValueTask DisposeAsync()
    {
        if (process is not null)
        {
            if (!process.Process.HasExited)
            {
                await KillAsync();
            }

            await process.DisposeAsync();
        }
    }
}
