using Colo.AgentApi;
using Grpc.Core;
using Microsoft.Extensions.Logging;

namespace Colo.Driver;

/// <summary>
/// One node's agent: a connection, a stream that is opened again whenever it ends, and what it last said. Owns its connection and its
/// loop; <see cref="DisposeAsync"/> ends both.
/// </summary>
internal sealed class NodeFeed : IAsyncDisposable
{
    private const int PollsWithoutStream = 15;

    private readonly string node;
    private readonly AgentFeedOptions options;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly Action<AgentChange> changed;
    private readonly CancellationTokenSource stop = new();
    private readonly NodeMemory memory;
    private readonly Task running;

    public NodeFeed(string node, string address, AgentFeedOptions options, TimeProvider time, ILogger log, Action<AgentChange> changed, NodeMemory memory)
    {
        (this.node, this.options, this.time, this.log, this.changed, this.memory) = (node, options, time, log, changed, memory);
        Connection = new AgentConnection(address, options.Tls?.For(node));
        memory.LookedForAt(address);
        running = Task.Run(() => RunAsync(stop.Token));
    }

    public AgentConnection Connection { get; }

    /// <summary>Asks now, and remembers the answer.</summary>
    /// <returns>Null; or why there is none.</returns>
    public async Task<string?> AskAsync(string uid, CancellationToken token)
    {
        long askedAt = memory.Heard;
        AgentPoll poll = await AgentPoll.AskAsync(Connection.Client, uid, options.AnswerBound, token);
        if (poll.Reply is not { } reply)
        {
            return poll.Fault;
        }

        memory.Learn(uid, reply, askedAt);
        return null;
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running;
        Connection.Dispose();
        stop.Dispose();
    }

    private async Task RunAsync(CancellationToken token)
    {
        TimeSpan wait = options.FirstReconnect;
        while (!token.IsCancellationRequested)
        {
            long heardBefore = memory.Heard;
            string reason = await FollowAsync(token);
            if (token.IsCancellationRequested)
            {
                return;
            }

            if (memory.Lose(reason))
            {
                log.AgentLost(node, Connection.Address, reason);
                changed(new AgentChange(node, null));
            }

            // Whoever was heard is tried again at once; who never answers is tried less and less often.
            wait = memory.Heard != heardBefore ? options.FirstReconnect : wait * 2 < options.LongestReconnect ? wait * 2 : options.LongestReconnect;
            await Task.Delay(wait, time, token).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    /// <returns>Why it ended.</returns>
    private async Task<string> FollowAsync(CancellationToken token)
    {
        try
        {
            if (await AskAsync("", token) is { } fault)
            {
                return fault;
            }

            changed(new AgentChange(node, null));
            return memory.ApiLevel >= AgentApiLevel.Current ? await StreamOrPollAsync(token) : await PollAsync(int.MaxValue, token);
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            return AgentPoll.FaultOf(e);
        }
    }

    private async Task<string> StreamOrPollAsync(CancellationToken token)
    {
        try
        {
            return await StreamAsync(token);
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.ResourceExhausted)
        {
            // Too many streams are open there: it is kept up with all the same, and a stream is tried again later.
            return await PollAsync(PollsWithoutStream, token);
        }
    }

    private async Task<string> StreamAsync(CancellationToken token)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token);
        using AsyncServerStreamingCall<WatchEvent> call = Connection.Client.Watch(new WatchRequest(), cancellationToken: end.Token);
        bool isOpen = false;
        while (true)
        {
            Task<bool> next = call.ResponseStream.MoveNext(end.Token);
            if (!await WithinAsync(next, options.QuietBound, token))
            {
                await end.CancelAsync();
                await AbandonAsync(next);
                return $"it has said nothing for {options.QuietBound.TotalSeconds:0.0} s";
            }

            if (!await next)
            {
                return "it ended the stream";
            }

            Arrive(call.ResponseStream.Current);
            if (!isOpen && await AskAsync("", end.Token) is { } fault)
            {
                return $"its stream is open, but: {fault}";
            }

            // The stream was open before that answer, so what changed between the two comes through it: no gap.
            isOpen = true;
        }
    }

    /// <summary>Its answers are the heartbeats.</summary>
    private async Task<string> PollAsync(int times, CancellationToken token)
    {
        log.AgentIsPolled(node, Connection.Address);
        for (int asked = 0; asked < times; asked++)
        {
            await Task.Delay(options.PollInterval, time, token);
            if (await AskAsync("", token) is { } fault)
            {
                return fault;
            }
        }

        return "a stream is tried again";
    }

    private void Arrive(WatchEvent change)
    {
        switch (change.EventCase)
        {
            case WatchEvent.EventOneofCase.Node:
                memory.Hear(change.Node);
                break;
            case WatchEvent.EventOneofCase.Status:
                memory.Hear(change.Status);
                break;
            case WatchEvent.EventOneofCase.RemovedUid:
                memory.Forget(change.RemovedUid);
                break;
            default:
                // A form that a newer agent sends; that it sends one is a heartbeat all the same.
                memory.Hear();
                break;
        }
    }

    private async Task<bool> WithinAsync(Task work, TimeSpan bound, CancellationToken token)
    {
        using CancellationTokenSource timer = CancellationTokenSource.CreateLinkedTokenSource(token);
        bool done = await Task.WhenAny(work, Task.Delay(bound, time, timer.Token)) == work;
        await timer.CancelAsync();
        return done;
    }

    private static async Task AbandonAsync(Task work)
    {
        try
        {
            await work;
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            // It was cancelled by us, or failed on its own: both were the reason to abandon it.
        }
    }
}
