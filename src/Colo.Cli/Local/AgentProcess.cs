using System.Diagnostics;
using Colo.AgentApi;
using Colo.Driver;

namespace Colo.Cli.Local;

/// <summary>One colo-agent of this installation: how it is started, found and stopped.</summary>
public sealed class AgentProcess
{
    private static readonly TimeSpan StartBound = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan StopBound = TimeSpan.FromSeconds(25);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    private readonly LocalLayout layout;
    private readonly LocalAgent agent;
    private readonly BackgroundProcess process;

    public AgentProcess(LocalLayout layout, LocalAgent agent)
    {
        this.layout = layout;
        this.agent = agent;
        process = new BackgroundProcess(layout.AgentPid(agent.Node), layout.AgentLog(agent.Node));
    }

    public string Node => agent.Node;

    public int? Pid => process.Pid;

    public void Start(string binary, IEnumerable<string> pools)
    {
        List<string> arguments =
        [
            "--node-name", agent.Node,
            "--socket-directory", layout.Sockets(agent.Node),
            "--memory-buffer-directory", layout.AgentMemoryBuffers(agent.Node),
            "--arbiter-directory", layout.Records,
            "--grpc-listen", "unix:" + layout.AgentSocket(agent.Node),
            "--replication-listen", $"127.0.0.1:{agent.ReplicationPort}",
            "--metrics-listen", $"127.0.0.1:{agent.MetricsPort}",
        ];
        foreach (string pool in pools)
        {
            arguments.Add("--pool");
            arguments.Add($"{pool}={layout.Pool(agent.Node, pool)}");
        }

        process.Start(binary, arguments);
    }

    /// <summary>Until it answers a Status call.</summary>
    /// <exception cref="CommandException">it ended, or did not answer in time; with the end of its log.</exception>
    public async Task WaitUntilAnsweringAsync(CancellationToken token)
    {
        using AgentConnection connection = new("unix:" + layout.AgentSocket(agent.Node));
        long start = Stopwatch.GetTimestamp();
        while (!await connection.AnswersAsync(token))
        {
            if (process.Pid is null)
            {
                throw new CommandException(ExitCode.Failed, $"the agent of {Node} ended at once:{Environment.NewLine}{process.LogTail(15)}");
            }

            if (Stopwatch.GetElapsedTime(start) > StartBound)
            {
                throw new CommandException(ExitCode.Failed,
                    $"the agent of {Node} did not answer within {StartBound.TotalSeconds:0} s:{Environment.NewLine}{process.LogTail(15)}");
            }

            await Task.Delay(Poll, token);
        }
    }

    public Task<bool> StopAsync(CancellationToken token) => process.StopAsync(StopBound, token);

    public Task<bool> KillAsync(CancellationToken token) => process.KillAsync(token);
}
