using System.CommandLine;
using Colo.Cli.Local;

namespace Colo.Cli.Commands;

/// <summary>`coloctl local down`: the control loop first, then the agents, then what they kept.</summary>
internal static class DownCommand
{
    public static Command Create()
    {
        Option<bool> keep = new("--keep-data") { Description = "Stop the processes only; `up` brings the same volumes back" };
        Command command = new("down", "Stop the control loop and the agents, and remove the volumes") { keep };
        command.SetAction((parsed, token) => RunAsync(parsed.Layout(), parsed.GetValue(keep), token));
        return command;
    }

    private static async Task<int> RunAsync(LocalLayout layout, bool keep, CancellationToken token)
    {
        if (LocalState.Load(layout) is not { } state)
        {
            Console.Error.WriteLine($"nothing is set up in {layout.Root}");
            return ExitCode.Ok;
        }

        await new BackgroundProcess(layout.ControlPid, layout.ControlLog).StopAsync(TimeSpan.FromSeconds(10), token);
        await Task.WhenAll(state.Agents.Select(a => new AgentProcess(layout, a).StopAsync(token)));
        if (keep)
        {
            Console.WriteLine($"stopped; the data stays in {layout.Root}");
        }
        else
        {
            layout.RemoveAll(state.Nodes);
            Console.WriteLine("stopped, and removed");
        }

        return ExitCode.Ok;
    }
}
