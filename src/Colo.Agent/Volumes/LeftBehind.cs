using Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>
/// Whether the record says that this node's secondary misses writes: asked when its primary is gone, because forwards onto such a disk
/// would mix with a buffer that is the view of an older moment. Without an answer, the copy is kept.
/// </summary>
/// <param name="parts">Of the process.</param>
/// <param name="memory">Of the replica.</param>
internal sealed class LeftBehind(VolumeParts parts, ReplicaMemory memory)
{
    /// <summary>A primary waits in its handshake for this answer, up to three times.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    /// <summary>A record of a newer term that names this node as primary is the failover that will soon ask for this very copy.</summary>
    public async Task<bool> AskAsync(CancellationToken token)
    {
        ReplicaSpec spec = memory.Current.Spec;
        string node = parts.Options.NodeName;
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(token);
        limit.CancelAfter(Patience);
        try
        {
            return await parts.Records.Of(spec).ReadAsync(limit.Token) is { } record
                && record.Primary != node
                && (record.Term != spec.Term || record.Secondary != node || record.SecondaryState != SecondaryState.InSync);
        }
        catch (Exception e) when (e is IOException or InvalidDataException
            || (e is OperationCanceledException && !token.IsCancellationRequested))
        {
            return false;
        }
    }

    /// <summary>True as soon as <paramref name="isStale"/> says so; false when <paramref name="isOver"/> does, or the token ends it.</summary>
    public async Task<bool> WaitAsync(Func<CancellationToken, ValueTask<bool>> isStale, Func<bool> isOver, CancellationToken token)
    {
        try
        {
            TimeSpan pause = TimeSpan.FromMilliseconds(parts.Options.Limits.RetryMilliseconds);
            do
            {
                if (await isStale(token))
                {
                    return true;
                }

                // Nobody waits for this: Start asks again by itself. A node's death must not turn into a load on the API server.
                await Task.Delay(pause, parts.Time, token);
                pause = pause + pause < LongestPause ? pause + pause : LongestPause;
            }
            while (!isOver());
        }
        catch (OperationCanceledException)
        {
            // Closed meanwhile.
        }

        return false;
    }
}
