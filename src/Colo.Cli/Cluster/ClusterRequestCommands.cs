using System.CommandLine;
using System.Diagnostics;
using Colo.Api;

namespace Colo.Cli.Cluster;

/// <summary>The commands that ask the operator to do something to one volume, and wait for what comes of it.</summary>
internal static class ClusterRequestCommands
{
    private static readonly Argument<string> Volume = new("volume") { Description = "The volume's name", HelpName = "volume", CompletionSources = { VolumeNames.Complete } };

    private static readonly Option<bool> Wait = new("--wait")
    {
        Description = "Wait for the outcome; --wait=false only asks",
        DefaultValueFactory = _ => true,
    };

    public static Command Checkpoint()
    {
        Command command = new("checkpoint", "Make a checkpoint now; fails, and says why, where a write of its epoch was not replicated") { Volume, Wait };
        command.SetAction((parsed, token) => AskAsync(parsed, _ => VolumeRequest.Checkpoint(), token));
        return command.OnCluster();
    }

    public static Command SwitchOver()
    {
        Option<string?> to = new("--to") { Description = "The node that shall be primary; the present secondary where left out", HelpName = "NODE" };
        Command command = new("switchover", "Change the roles without losing a write: hold writes, record, promote") { Volume, to, Wait };
        command.SetAction((parsed, token) => AskAsync(parsed, volume => VolumeRequest.SwitchOver(parsed.GetValue(to) ?? SecondaryOf(volume)), token));
        return command.OnCluster();
    }

    public static Command FailOver()
    {
        Option<bool> force = new("--force") { Description = "Promote a copy that is Stale or Syncing; needs --accept-data-loss" };
        Option<string?> accept = new("--accept-data-loss")
        {
            Description = "Writes that only the other copy holds are given up; the volume's UID (see status), to name the right one",
            HelpName = "UID",
        };
        Command command = new("failover", "Promote the secondary; refused unless it is in sync (prefer switchover while both nodes live)")
        {
            Volume, force, accept, Wait,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(force) != (result.GetValue(accept) is not null))
            {
                result.AddError("--force and --accept-data-loss UID belong together: they give up acknowledged writes of the volume with that UID");
            }
        });
        command.SetAction((parsed, token) => AskAsync(parsed, volume => FailOver(volume, parsed.GetValue(accept)), token));
        return command.OnCluster();
    }

    public static Command Resync()
    {
        Option<string> node = new("--node") { Description = "The node whose copy is brought up to date", HelpName = "NODE", Required = true };
        Command command = new("resync", "Bring the copy on a node up to date again; its own content is given up where it differs") { Volume, node, Wait };
        command.SetAction((parsed, token) => AskAsync(parsed, _ => VolumeRequest.Resync(parsed.GetValue(node)!), token));
        return command.OnCluster();
    }

    private static string SecondaryOf(ClusterVolume volume) => volume.Readable().Status is { CurrentSecondary.Length: > 0 } status
        ? status.CurrentSecondary
        : throw new CommandException(ExitCode.Failed, $"{volume.Namespace}/{volume.Name} has no secondary to switch to; name a node with --to");

    private static VolumeRequest FailOver(ClusterVolume volume, string? uid)
    {
        if (uid is not null && uid != volume.Uid)
        {
            throw new CommandException(ExitCode.Failed, $"'{uid}' is not the UID of {volume.Namespace}/{volume.Name}; nothing was asked for");
        }

        return VolumeRequest.FailOver(volume.Readable().Status?.Term ?? 0, uid);
    }

    private static async Task<int> AskAsync(ParseResult parsed, Func<ClusterVolume, VolumeRequest> makeRequest, CancellationToken token)
    {
        long start = Stopwatch.GetTimestamp();
        TimeSpan timeout = parsed.TimeoutOfRequest();
        using ClusterConnection cluster = parsed.Connect(ClusterOptions.ReadTimeout);
        VolumeClient client = new(cluster);
        ClusterVolume volume = await VolumeLookup.FindAsync(client, parsed.GetValue(Volume)!, allNamespaces: false, token);
        VolumeRequest request = makeRequest(volume);
        string what = $"{request.Verb} of {volume.Namespace}/{volume.Name}";
        bool wait = parsed.GetValue(Wait);
        OperatorLease? lease = wait ? await OperatorLease.LookAsync(cluster, token) : null;
        ClusterVolume asked = await client.PatchAsync(volume, request.MergePatch(volume.Uid), token);
        if (lease is null)
        {
            Console.WriteLine($"{what} is asked for");
            return ExitCode.Ok;
        }

        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(token);
        limit.CancelAfter(timeout);
        RequestStatus? outcome;
        try
        {
            outcome = await new RequestOutcomeWatch(client, request, volume, Console.Error).UntilJudgedAsync(asked, limit.Token);
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            throw new CommandException(ExitCode.Failed, $"{what} stays asked for; it is withdrawn by: {request.WithdrawnBy(volume)}");
        }
        catch (OperationCanceledException)
        {
            throw await NoOutcomeAsync(what, timeout, lease, request, volume, token);
        }

        return Report(what, outcome, Stopwatch.GetElapsedTime(start));
    }

    private static int Report(string what, RequestStatus? outcome, TimeSpan took) => outcome switch
    {
        { Outcome: RequestOutcome.Fulfilled } => Say($"{what} is done: {outcome.Message} ({took.TotalMilliseconds:0} ms)"),
        { Outcome: RequestOutcome.Refused } => throw new CommandException(ExitCode.Failed, $"{what} was refused: {outcome.Message}"),
        { } => throw new CommandException(ExitCode.Failed, $"{what} failed: {outcome.Message}"),
        null => throw new CommandException(ExitCode.Failed, $"{what} was taken up, and the status does not say what came of it; see `{CalledAs.Command} events`"),
    };

    private static int Say(string sentence)
    {
        Console.WriteLine(sentence);
        return ExitCode.Ok;
    }

    private static async Task<CommandException> NoOutcomeAsync(
        string what, TimeSpan timeout, OperatorLease lease, VolumeRequest request, ClusterVolume volume, CancellationToken token)
    {
        (bool? runs, string sentence) = await lease.JudgeAsync(token);
        return new CommandException(
            runs == false ? ExitCode.NotRunning : ExitCode.TimedOut,
            $"{what}: no outcome within {new Duration(timeout)}; {sentence}. It stays asked for; it is withdrawn by: {request.WithdrawnBy(volume)}");
    }
}
