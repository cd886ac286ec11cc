using System.CommandLine;
using System.Diagnostics;
using Colo.Api;
using Colo.Cli.Local;
using Colo.Control;

namespace Colo.Cli.Commands;

/// <summary>The commands that ask the control loop to do something to one volume and wait for what comes of it.</summary>
internal static class RequestCommands
{
    public static Command Checkpoint()
    {
        Argument<string?> volume = CommonOptions.Volume();
        Option<Duration> timeout = CommonOptions.Timeout("How long to wait for it", 60);
        Command command = new("checkpoint", "Make a checkpoint now; fails, and says why, where a write of its epoch was not replicated") { volume, timeout };
        command.SetAction((parsed, token) =>
            AskAsync(parsed.Layout(), new ControlRequest("checkpoint", parsed.GetValue(volume)), parsed.GetValue(timeout), token));
        return command;
    }

    public static Command SwitchOver()
    {
        Argument<string?> volume = CommonOptions.Volume();
        Option<string?> to = new("--to") { Description = "The node that shall be primary; the present secondary where left out", HelpName = "NODE" };
        Option<Duration> timeout = CommonOptions.Timeout("How long to wait for it", 60);
        Command command = new("switchover", "Change the roles without losing a write: hold writes, record, promote") { volume, to, timeout };
        command.SetAction((parsed, token) => AskAsync(
            parsed.Layout(), new ControlRequest("switchover", parsed.GetValue(volume)) { To = parsed.GetValue(to) }, parsed.GetValue(timeout), token));
        return command;
    }

    public static Command FailOver()
    {
        Argument<string?> volume = CommonOptions.Volume();
        Option<RecoveryPoint?> point = CommonOptions.Choice<RecoveryPoint>(
            "Every acknowledged write, or the state of the last checkpoint; the spec's where left out", "--recovery-point");
        Option<bool> force = new("--force") { Description = "Promote a copy that is Stale or Syncing; needs --uid and --accept-data-loss" };
        Option<string?> uid = new("--uid") { Description = "The volume's UID (see status), to force the right one", HelpName = "UID" };
        Option<bool> accept = new("--accept-data-loss") { Description = "Writes that only the other copy holds are given up" };
        Option<Duration> timeout = CommonOptions.Timeout("How long to wait for it", 60);
        Command command = new("failover", "Promote the secondary; refused unless it is in sync (prefer switchover while both nodes live)")
        {
            volume, point, force, uid, accept, timeout,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(force) && (result.GetValue(uid) is null || !result.GetValue(accept)))
            {
                result.AddError("--force needs --uid UID and --accept-data-loss: it gives up acknowledged writes");
            }

            if (!result.GetValue(force) && (result.GetValue(uid) is not null || result.GetValue(accept)))
            {
                result.AddError("--uid and --accept-data-loss belong to --force");
            }
        });
        command.SetAction((parsed, token) =>
        {
            FailoverRequest failover = new(0, parsed.GetValue(point), parsed.GetValue(uid), parsed.GetValue(accept));
            return AskAsync(parsed.Layout(), new ControlRequest("failover", parsed.GetValue(volume)) { Failover = failover }, parsed.GetValue(timeout), token);
        });
        return command;
    }

    public static Command Wait()
    {
        Argument<string?> volume = CommonOptions.Volume();
        Option<VolumePhase?> phase = CommonOptions.Choice<VolumePhase>("The phase to wait for; Protected where left out", "--for");
        Option<string?> primary = new("--primary") { Description = "And wait until this node serves as primary", HelpName = "NODE" };
        Option<bool> serving = new("--serving") { Description = "Wait for a serving primary only, whatever the phase" };
        Option<Duration> timeout = CommonOptions.Timeout("How long to wait", 60);
        Command command = new("wait", "Wait until a volume (or all) has reached a phase") { volume, phase, primary, serving, timeout };
        command.SetAction(async (parsed, token) =>
        {
            VolumePhase wanted = parsed.GetValue(phase) ?? VolumePhase.Protected;
            string? node = parsed.GetValue(primary);
            bool onlyServing = parsed.GetValue(serving);
            bool Reached(ReplicatedVolumeStatus s) =>
                (onlyServing ? s.Conditions.Any(c => c is { Type: ConditionType.Ready, Status: "True" }) : s.Phase == wanted) &&
                (node is null || s.CurrentPrimary == node);
            TimeSpan bound = parsed.GetValue(timeout);
            return await new VolumeWaiter(parsed.Layout(), Console.Error).UntilAsync(parsed.GetValue(volume), Reached, bound, token) is null
                ? throw new CommandException(ExitCode.TimedOut, $"not within {new Duration(bound)}")
                : ExitCode.Ok;
        });
        return command;
    }

    private static async Task<int> AskAsync(LocalLayout layout, ControlRequest request, TimeSpan timeout, CancellationToken token)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(token);
        limit.CancelAfter(timeout);
        long start = Stopwatch.GetTimestamp();
        try
        {
            ControlReply reply = await new ControlClient(layout).AskAsync(request, limit.Token);
            if (!reply.Done)
            {
                throw new CommandException(ExitCode.Failed, $"{request.Verb} failed: {reply.Message}");
            }

            Console.WriteLine($"{reply.Message} ({Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms)");
            return ExitCode.Ok;
        }
        catch (OperationCanceledException) when (!token.IsCancellationRequested)
        {
            throw new CommandException(ExitCode.TimedOut, $"{request.Verb}: no outcome within {new Duration(timeout)}; it goes on: see status");
        }
    }
}
