using Colo.Api;

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
internal sealed class RequestOutcomeWatch(VolumeClient client, VolumeRequest request, RequestStatus? lastBefore, TextWriter progress)
{
    /// <summary>The operator writes the annotation and the status in two steps.</summary>
    private static readonly TimeSpan BetweenTwoWrites = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan BeforeNextTry = TimeSpan.FromSeconds(1);

    private VolumePhase? phaseTold;

    /// <param name="asked">The volume as the request left it.</param>
    /// <param name="token">Ends the wait.</param>
    /// <returns>Null: it was taken up, and nothing was said of what came of it.</returns>
    /// <exception cref="CommandException">the volume is gone, or another request took the place of this one.</exception>
    public async Task<RequestStatus?> UntilJudgedAsync(ClusterVolume asked, CancellationToken token)
    {
        ClusterVolume? seen = asked;
        using CancellationTokenSource settled = CancellationTokenSource.CreateLinkedTokenSource(token);
        while (true)
        {
            try
            {
                seen ??= await client.TryGetAsync(asked.Namespace, asked.Name, settled.Token);
                if (Judge(asked, seen, settled) is { } outcome)
                {
                    return outcome;
                }

                await foreach (VolumeChange change in client.WatchAsync(asked.Namespace, asked.Name, seen!.ResourceVersion, settled.Token))
                {
                    if (Judge(asked, change.Gone ? null : change.Volume, settled) is { } judged)
                    {
                        return judged;
                    }
                }
            }
            catch (CommandException) when (!IsFinal)
            {
                await Task.Delay(BeforeNextTry, token);
            }
            catch (OperationCanceledException) when (settled.IsCancellationRequested && !token.IsCancellationRequested)
            {
                return null;
            }

            seen = null;
        }
    }

    /// <summary>Set where an exception is the outcome, and not a server that cannot be reached for a while.</summary>
    private bool IsFinal { get; set; }

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

    private RequestStatus? Judge(ClusterVolume asked, ClusterVolume? seen, CancellationTokenSource settled)
    {
        if (seen is null || seen.Uid != asked.Uid)
        {
            throw Final($"{request.Verb}: {asked.Namespace}/{asked.Name} was deleted meanwhile");
        }

        Tell(seen);
        switch (ProgressOf(request, lastBefore, seen))
        {
            case RequestProgress.Judged:
                return seen.Status.LastRequest;
            case RequestProgress.Replaced:
                throw Final($"{request.Verb} of {asked.Namespace}/{asked.Name}: another {request.Verb} was asked for meanwhile; see status");
            case RequestProgress.Taken:
                settled.CancelAfter(BetweenTwoWrites);
                return null;
            default:
                return null;
        }
    }

    private CommandException Final(string message)
    {
        IsFinal = true;
        return new CommandException(ExitCode.Failed, message);
    }

    private void Tell(ClusterVolume seen)
    {
        if (phaseTold != seen.Status.Phase)
        {
            if (phaseTold is not null)
            {
                progress.WriteLine($"{seen.Name}: {seen.Status.Phase}: {seen.Status.Message}");
            }

            phaseTold = seen.Status.Phase;
        }
    }
}
