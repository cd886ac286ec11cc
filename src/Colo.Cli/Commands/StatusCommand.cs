using System.CommandLine;
using Colo.Api;
using Colo.Cli.Local;
using Colo.Cli.Status;
using Spectre.Console;

namespace Colo.Cli.Commands;

internal enum OutputFormat
{
    Text,
    Json,
    Yaml,
}

/// <summary>`coloctl local status`.</summary>
internal static class StatusCommand
{
    private const string NotDriven =
        "the control loop does not run: nothing is failed over or resynced by itself (`coloctl local up` starts it)";

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    public static Command Create()
    {
        Argument<string?> volume = CommonOptions.Volume();
        Option<OutputFormat?> output = CommonOptions.Choice<OutputFormat>(
            "Text for people; json or yaml: the ReplicatedVolume with its status", "--output", "-o");
        Option<bool> watch = new("--watch", "-w") { Description = "Show it again every second until Ctrl-C" };
        Command command = new("status", "Show the volumes: replicas, checkpoint, buffer, errors, resync, endpoints") { volume, output, watch };
        command.SetAction((parsed, token) => RunAsync(
            parsed.Layout(), parsed.GetValue(volume), parsed.GetValue(output) ?? OutputFormat.Text, parsed.GetValue(watch), token));
        return command;
    }

    private static async Task<int> RunAsync(LocalLayout layout, string? volume, OutputFormat output, bool watch, CancellationToken token)
    {
        if (!watch)
        {
            int seen = await ShowAsync(layout, volume, output, null, token);
            if (seen == ExitCode.NotRunning)
            {
                Console.Error.WriteLine(NotDriven);
            }

            return seen;
        }

        // A wrong name, or nothing set up, is said before the screen is changed.
        await ReadAsync(layout, volume, token);
        using LiveScreen? screen = output == OutputFormat.Text ? new LiveScreen() : null;
        int code = ExitCode.Ok;
        while (!token.IsCancellationRequested)
        {
            try
            {
                code = await ShowAsync(layout, volume, output, screen, token);
                await Task.Delay(Interval, token);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }

        return code;
    }

    private static async Task<int> ShowAsync(
        LocalLayout layout, string? volume, OutputFormat output, LiveScreen? screen, CancellationToken token)
    {
        (IReadOnlyList<VolumeReport> reports, bool driven) = await ReadAsync(layout, volume, token);
        switch (output)
        {
            case OutputFormat.Json:
                Console.WriteLine(reports.Count == 1 ? VolumeDocument.ToJson(reports[0].Volume) : VolumeDocument.ToJson(reports.Select(r => r.Volume)));
                break;
            case OutputFormat.Yaml:
                Console.Write(string.Join("---\n", reports.Select(r => VolumeDocument.ToYaml(r.Volume))));
                break;
            default:
                if (screen is null)
                {
                    Render(Terminal.Output, reports);
                }
                else
                {
                    screen.Show(console => Render(console, reports, driven ? null : NotDriven));
                }

                break;
        }

        return driven ? ExitCode.Ok : ExitCode.NotRunning;
    }

    private static void Render(IAnsiConsole console, IReadOnlyList<VolumeReport> reports, string? warning = null)
    {
        if (warning is not null)
        {
            console.WriteLine(warning, new Style(Color.Yellow));
        }

        foreach (VolumeReport report in reports)
        {
            StatusView.Render(console, report, DateTimeOffset.UtcNow);
        }
    }

    /// <returns>Driven: the control loop answered; else what the records and the agents say.</returns>
    /// <exception cref="CommandException">nothing is set up, or there is no such volume.</exception>
    private static async Task<(IReadOnlyList<VolumeReport> Reports, bool Driven)> ReadAsync(LocalLayout layout, string? volume, CancellationToken token)
    {
        LocalState state = LocalState.LoadRequired(layout);
        ControlReply? reply = await new ControlClient(layout).TryAskAsync(new ControlRequest("status", volume), token);
        IReadOnlyList<VolumeReport> reports = reply?.Volumes ?? await DirectStatus.ReadAsync(layout, state, token);
        reports = [.. reports.Where(r => volume is null || r.Volume.Metadata.Name == volume)];
        return reports.Count == 0 && volume is not null
            ? throw new CommandException(ExitCode.Usage, $"no volume '{volume}'; there are: {string.Join(", ", state.Volumes.Select(v => v.Name))}")
            : (reports, reply is not null);
    }
}
