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
        if (Console.IsOutputRedirected)
        {
            // Nobody's window: lines such as URIs must stay whole for whoever cuts them.
            AnsiConsole.Profile.Width = 250;
        }

        int code = await ShowAsync(layout, volume, output, token);
        while (watch && !token.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(Interval, token);
            }
            catch (OperationCanceledException)
            {
                break;
            }

            if (output == OutputFormat.Text)
            {
                AnsiConsole.Clear();
            }

            code = await ShowAsync(layout, volume, output, token);
        }

        return code;
    }

    private static async Task<int> ShowAsync(LocalLayout layout, string? volume, OutputFormat output, CancellationToken token)
    {
        LocalState state = LocalState.LoadRequired(layout);
        ControlReply? reply = await new ControlClient(layout).TryAskAsync(new ControlRequest("status", volume), token);
        IReadOnlyList<VolumeReport> reports = reply?.Volumes ?? await DirectStatus.ReadAsync(layout, state, token);
        reports = [.. reports.Where(r => volume is null || r.Volume.Metadata.Name == volume)];
        if (reports.Count == 0 && volume is not null)
        {
            throw new CommandException(ExitCode.Usage, $"no volume '{volume}'; there are: {string.Join(", ", state.Volumes.Select(v => v.Name))}");
        }

        if (reply is null)
        {
            Console.Error.WriteLine("the control loop does not run: nothing is failed over or resynced by itself (`coloctl local up` starts it)");
        }

        Print(reports, output);
        return reply is null ? ExitCode.NotRunning : ExitCode.Ok;
    }

    private static void Print(IReadOnlyList<VolumeReport> reports, OutputFormat output)
    {
        switch (output)
        {
            case OutputFormat.Json:
                Console.WriteLine(reports.Count == 1 ? VolumeDocument.ToJson(reports[0].Volume) : VolumeDocument.ToJson(reports.Select(r => r.Volume)));
                break;
            case OutputFormat.Yaml:
                Console.Write(string.Join("---\n", reports.Select(r => VolumeDocument.ToYaml(r.Volume))));
                break;
            default:
                foreach (VolumeReport report in reports)
                {
                    StatusView.Render(AnsiConsole.Console, report, DateTimeOffset.UtcNow);
                }

                break;
        }
    }
}
