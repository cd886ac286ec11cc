using System.CommandLine;
using System.Diagnostics;
using Colo.Cli.Local;
using Spectre.Console;

namespace Colo.Cli.Commands;

/// <summary>The two agents as processes: list, start, stop, kill; and the logs.</summary>
internal static class AgentCommands
{
    public static Command List()
    {
        Command command = new("agents", "List the agents: node, pid, sockets, log");
        command.SetAction((parsed, _) =>
        {
            LocalLayout layout = parsed.Layout();
            LocalState state = LocalState.LoadRequired(layout);
            Table table = new() { Border = TableBorder.Simple };
            table.AddColumns("Node", "Pid", "gRPC", "Replication", "Metrics", "Log");
            foreach (LocalAgent agent in state.Agents)
            {
                table.AddRow(
                    agent.Node, new AgentProcess(layout, agent).Pid?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "not running",
                    layout.AgentSocket(agent.Node), $"127.0.0.1:{agent.ReplicationPort}", $"http://127.0.0.1:{agent.MetricsPort}/metrics",
                    layout.AgentLog(agent.Node));
            }

            AnsiConsole.Write(table);
            return Task.FromResult(ExitCode.Ok);
        });
        return command;
    }

    public static Command Start()
    {
        Argument<string> node = new("node") { Description = "node-a or node-b" };
        Command command = new("start-agent", "Start a node's agent again; a former primary is then taken in as secondary") { node };
        command.SetAction(async (parsed, token) =>
        {
            (LocalLayout layout, LocalState state, AgentProcess process) = Find(parsed, parsed.GetValue(node)!);
            if (process.Pid is { } pid)
            {
                Console.WriteLine($"the agent of {process.Node} runs already (pid {pid})");
                return ExitCode.Ok;
            }

            layout.Create(state.Nodes, state.Pools);
            process.Start(AgentBinary.Find(), state.Pools);
            await process.WaitUntilAnsweringAsync(token);
            Console.WriteLine($"the agent of {process.Node} answers (pid {process.Pid})");
            return ExitCode.Ok;
        });
        return command;
    }

    public static Command Stop()
    {
        Argument<string> node = new("node") { Description = "node-a or node-b" };
        Option<bool> kill = new("--kill") { Description = "SIGKILL: as if the node had died" };
        Command command = new("stop-agent", "Stop a node's agent; with --kill, as its node's death would") { node, kill };
        command.SetAction(async (parsed, token) =>
        {
            (_, _, AgentProcess process) = Find(parsed, parsed.GetValue(node)!);
            bool stopped = parsed.GetValue(kill) ? await process.KillAsync(token) : await process.StopAsync(token);
            Console.WriteLine(stopped ? $"the agent of {process.Node} is gone" : $"the agent of {process.Node} does not run");
            return ExitCode.Ok;
        });
        return command;
    }

    public static Command Logs()
    {
        Argument<string> whose = new("whose") { Description = "node-a, node-b or control", DefaultValueFactory = _ => "control" };
        Option<bool> follow = new("--follow", "-f") { Description = "Go on showing what is written" };
        Option<int> lines = new("--lines", "-n") { Description = "How many of the last lines", DefaultValueFactory = _ => 50 };
        Command command = new("logs", "Show a log") { whose, follow, lines };
        command.SetAction(async (parsed, token) =>
        {
            LocalLayout layout = parsed.Layout();
            string name = parsed.GetValue(whose)!;
            string file = name == "control" ? layout.ControlLog : layout.AgentLog(Find(parsed, name).Process.Node);
            ProcessStartInfo tail = new("tail", ["-n", $"{parsed.GetValue(lines)}", .. parsed.GetValue(follow) ? ["-F"] : Array.Empty<string>(), file]);
            using Process process = Process.Start(tail) ?? throw new CommandException(ExitCode.Failed, "tail did not start");
            await process.WaitForExitAsync(token);
            return process.ExitCode == 0 ? ExitCode.Ok : ExitCode.Failed;
        });
        return command;
    }

    /// <summary>The control loop itself; `up` starts it in the background.</summary>
    public static Command Control()
    {
        Command command = new("control", "Run the control loop here (what `up` starts in the background)") { Hidden = true };
        command.SetAction(async (parsed, token) =>
        {
            using ControlLoop loop = new(parsed.Layout(), Console.Out);
            await loop.RunAsync(token);
            return ExitCode.Ok;
        });
        return command;
    }

    private static (LocalLayout Layout, LocalState State, AgentProcess Process) Find(ParseResult parsed, string node)
    {
        LocalLayout layout = parsed.Layout();
        LocalState state = LocalState.LoadRequired(layout);
        LocalAgent agent = state.Agents.FirstOrDefault(a => a.Node == node)
            ?? throw new CommandException(ExitCode.Usage, $"no node '{node}'; there are: {string.Join(", ", state.Nodes)}");
        return (layout, state, new AgentProcess(layout, agent));
    }
}
