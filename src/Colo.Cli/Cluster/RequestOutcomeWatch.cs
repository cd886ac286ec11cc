using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Colo.Api;
using Colo.Kubernetes;

namespace Colo.Cli.Cluster;

/// <summary>How a request stands, by what is seen of its volume.</summary>
internal enum RequestProgress
{
    /// <summary>Nobody took it up yet, or it is being worked on.</summary>
    Pending,

    /// <summary>The annotation is gone and the status does not tell of it yet: it is written a moment later, or never.</summary>
    Taken,

    /// <summary>Fulfilled, refused or failed: status.lastRequest tells.</summary>
    Judged,

    /// <summary>A later request of the same kind took its place.</summary>
    Replaced,
}

/// <summary>Watches one volume until what was asked for has an outcome. Lost streams and servers that restart are waited out.</summary>
internal sealed class RequestOutcomeWatch(VolumeClient client, VolumeRequest request, ClusterVolume before, TextWriter progress)
{
    /// <summary>The operator writes the annotation and the status in two steps.</summary>
    private static readonly TimeSpan BetweenTwoWrites = TimeSpan.FromSeconds(10);

    /// <summary>Who may read the volume but not list or watch is served by reading it again and again.</summary>
    private static readonly TimeSpan PollWithoutWatch = TimeSpan.FromSeconds(2);

    private readonly string what = $"{request.Verb} of {before.Namespace}/{before.Name}";
    private long? takenAt;
    private VolumePhase phaseTold = before.Status.Phase;

    /// <param name="asked">The volume as the request left it.</param>
    /// <param name="token">Ends the wait.</param>
    /// <returns>Null: it was taken up, and nothing was said of what came of it.</returns>
    /// <exception cref="CommandException">the volume is gone, or another request took the place of this one.</exception>
    public async Task<RequestStatus?> UntilJudgedAsync(ClusterVolume asked, CancellationToken token)
    {
        Informer<JsonObject> informer = client.Follow(before.Namespace, before.Name);
        Channel<ClusterVolume?> states = Channel.CreateUnbounded<ClusterVolume?>();
        informer.Changed += change => states.Writer.TryWrite(change.New is null ? null : new ClusterVolume(change.New));
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task following = informer.RunAsync(end.Token);
        try
        {
            while (true)
            {
                (bool seen, ClusterVolume? volume) = await NextAsync(states.Reader, informer, token);
                if (seen && volume?.IsAtLeastAsNewAs(asked) != false && Judge(volume) is { } outcome)
                {
                    return outcome;
                }

                if (takenAt is { } since && Stopwatch.GetElapsedTime(since) > BetweenTwoWrites)
                {
                    return null;
                }
            }
        }
        finally
        {
            await end.CancelAsync();
            await following.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>The next state of the volume (null: gone), or nothing seen within a while.</summary>
    private async Task<(bool Seen, ClusterVolume? Volume)> NextAsync(
        ChannelReader<ClusterVolume?> states, Informer<JsonObject> informer, CancellationToken token)
    {
        using CancellationTokenSource patience = CancellationTokenSource.CreateLinkedTokenSource(token);
        patience.CancelAfter(PollWithoutWatch);
        try
        {
            return (true, await states.ReadAsync(patience.Token));
        }
        catch (OperationCanceledException) when (!token.IsCancellationRequested)
        {
            return informer.Synced.IsCompletedSuccessfully ? (false, null) : await ReadAsync(token);
        }
    }

    private async Task<(bool Seen, ClusterVolume? Volume)> ReadAsync(CancellationToken token)
    {
        try
        {
            return (true, await client.FindAsync(before.Namespace, before.Name, token));
        }
        catch (CommandException)
        {
            // A server that does not answer now may do so before the time is over.
            return (false, null);
        }
    }

    internal static RequestProgress ProgressOf(VolumeRequest request, RequestStatus? lastBefore, ClusterVolume volume)
    {
        if (volume.Annotation(request.Key) is { } value)
        {
            return value == request.Value ? RequestProgress.Pending : RequestProgress.Replaced;
        }

        RequestStatus? last = volume.Status.LastRequest;
        bool ofThis = last is not null && last.Verb == request.Verb && last != lastBefore;
        return !ofThis ? RequestProgress.Taken : last!.Outcome == RequestOutcome.Accepted ? RequestProgress.Pending : RequestProgress.Judged;
    }

    private RequestStatus? Judge(ClusterVolume? seen)
    {
        if (seen is null || seen.Uid != before.Uid)
        {
            throw new CommandException(ExitCode.Failed, $"{what}: the volume was deleted meanwhile");
        }

        Tell(seen);
        RequestProgress now = ProgressOf(request, before.Status.LastRequest, seen);
        takenAt = now == RequestProgress.Taken ? takenAt ?? Stopwatch.GetTimestamp() : null;
        return now switch
        {
            RequestProgress.Judged => seen.Status.LastRequest,
            RequestProgress.Replaced => throw new CommandException(ExitCode.Failed, $"{what}: another {request.Verb} was asked for meanwhile; see status"),
            _ => null,
        };
    }

    private void Tell(ClusterVolume seen)
    {
        if (phaseTold != seen.Status.Phase)
        {
            phaseTold = seen.Status.Phase;
            progress.WriteLine($"{seen.Name}: {seen.Status.Phase}: {seen.Status.Message}");
        }
    }
}
