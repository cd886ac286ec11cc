using System.Globalization;
using Colo.AgentApi;
using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.Driver.Tests;

/// <summary>A colo-agent process of one node over a unix socket; a restart keeps its directory and its ports.</summary>
internal sealed class RealAgent : IAsyncDisposable
{
    private readonly string root;
    private readonly string records;
    private readonly int replicationPort = LoopbackPort.FindFree();
    private readonly int metricsPort = LoopbackPort.FindFree();
    private RunningTool? process;

    private RealAgent(string node, string root, string records)
    {
        (Node, this.root, this.records) = (node, root, records);
        Directory.CreateDirectory(root);
        Connection = new AgentConnection(Address);
    }

    public string Node { get; }

    public string Address => "unix:" + Path.Combine(root, "grpc.sock");

    /// <summary>The test's own, beside whatever is tested.</summary>
    public AgentConnection Connection { get; }

    public static async Task<RealAgent> StartAsync(string node, TempDirectory directory)
    {
        RealAgent agent = new(node, directory.File(node[^1..]), directory.File("records"));
        await agent.StartAsync();
        return agent;
    }

    public async Task StartAsync()
    {
        process = RunningTool.Start("dotnet", [
            "exec", Built.Program("Colo.Agent", "colo-agent.dll"),
            "--node-name", Node,
            "--pool", $"default={Path.Combine(root, "pool")}",
            "--socket-directory", Path.Combine(root, "s"),
            "--memory-buffer-directory", Path.Combine(root, "mem"),
            "--grpc-listen", Address,
            "--replication-listen", $"127.0.0.1:{replicationPort.ToString(CultureInfo.InvariantCulture)}",
            "--metrics-listen", $"127.0.0.1:{metricsPort.ToString(CultureInfo.InvariantCulture)}",
            "--arbiter-directory", records,
            "--retry-milliseconds", "100",
        ]);
        await Eventually.TrueAsync(
            async () => process.Process.HasExited
                ? throw new InvalidOperationException($"the agent of {Node} ended:\n{process.Output}{process.Error}")
                : await Connection.AnswersAsync(CancellationToken.None),
            $"the agent of {Node} answers");
    }

    /// <summary>For the message of a test that failed.</summary>
    public async Task<string> DescribeAsync(AgentFeed feed)
    {
        bool answers = await Connection.AnswersAsync(CancellationToken.None);
        string log = process!.Output + process.Error;
        return $"{Node}: process {(process.Process.HasExited ? "ended" : "runs")}, {(answers ? "answers" : "does not answer")} the test; the feed says " +
            $"'{feed.Describe(Node).Fault ?? "it answers"}'; its log ends\n{log[Math.Max(0, log.Length - 1500)..]}";
    }

    public async Task KillAsync()
    {
        process!.Process.Kill();
        await process.Process.WaitForExitAsync();
    }

    public async Task SignalAsync(string signal) =>
        (await Tool.RunAsync("/bin/kill", "-" + signal, process!.Pid.ToString(CultureInfo.InvariantCulture))).EnsureSuccess();

    public async Task<VolumeStatus?> StatusAsync(string uid)
    {
        try
        {
            return (await Connection.Client.StatusAsync(new StatusRequest { Uid = uid })).Volumes.SingleOrDefault();
        }
        catch (Grpc.Core.RpcException e) when (e.StatusCode == Grpc.Core.StatusCode.NotFound)
        {
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Connection.Dispose();
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
