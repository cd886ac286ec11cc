using System.Collections.Concurrent;
using Colo.AgentApi;
using Colo.Driver;
using Grpc.Core;

namespace Colo.Operator.Agents;

/// <summary>
/// One node's agent as the operator keeps up with it: one stream of Watch for all its volumes, taken up again whenever it breaks. Its
/// memory is what the stream last said; after a break that is replaced as a whole before the agent counts as answering again.
/// </summary>
internal sealed class AgentLink : IAsyncDisposable
{
    /// <summary>An agent says something every second; half of one more may be the network's.</summary>
    public static readonly TimeSpan AnswersFor = TimeSpan.FromMilliseconds(1500);

    private static readonly TimeSpan SilenceCheck = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan AnswerBound = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan PingBound = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LongestRetry = TimeSpan.FromSeconds(1);

    private readonly AgentConnection connection;
    private readonly TimeProvider time;
    private readonly ILogger log;
    private readonly Action<string> volumeChanged;
    private readonly Action nodeChanged;
    private readonly CancellationTokenSource stop = new();
    private readonly ConcurrentDictionary<string, VolumeStatus> volumes = new(StringComparer.Ordinal);
    private readonly Task running;
    private long heardAt;
    private DateTimeOffset? seen;
    private volatile NodeStatus? status;
    private volatile bool streams;
    private volatile bool answered;
    private volatile string? fault;
    private volatile string? refusal;

    /// <param name="heardBefore">When this node was last heard of by other means; a timestamp of <paramref name="time"/>.</param>
    /// <param name="volumeChanged">Called with a UID; must not block.</param>
    public AgentLink(
        string node, string address, IAgentConnector connector, long heardBefore, TimeProvider time, ILogger log, Action<string> volumeChanged,
        Action nodeChanged)
    {
        Node = node;
        connection = connector.Connect(address, why => refusal = why);
        this.time = time;
        this.log = log;
        this.volumeChanged = volumeChanged;
        this.nodeChanged = nodeChanged;
        heardAt = heardBefore;
        running = Task.WhenAll(Task.Run(FollowAlwaysAsync), Task.Run(WatchSilenceAsync));
    }

    public string Node { get; }

    public string Address => connection.Address;

    public AgentApi.Agent.AgentClient Client => connection.Client;

    public NodeStatus? Status => status;

    public IEnumerable<VolumeStatus> Volumes => volumes.Values;

    /// <summary>Why it does not answer, for people; null: it does, or simply is silent.</summary>
    public string? Fault => fault;

    public long HeardAt => Volatile.Read(ref heardAt);

    public bool Answers => streams && time.GetElapsedTime(HeardAt) < AnswersFor;

    public bool Holds(string uid) => volumes.ContainsKey(uid);

    public AgentSight Look(string uid)
    {
        if (Answers)
        {
            return new(Node, TimeSpan.Zero, seen, status, volumes.GetValueOrDefault(uid));
        }

        // Never zero: zero says that it answers.
        TimeSpan silent = time.GetElapsedTime(HeardAt);
        return new(Node, silent > TimeSpan.Zero ? silent : TimeSpan.FromTicks(1), seen, status, null);
    }

    /// <summary>A sign of life that did not come over the stream.</summary>
    public void Heard()
    {
        Volatile.Write(ref heardAt, time.GetTimestamp());
        seen = time.GetUtcNow();
    }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await running;
        connection.Dispose();
        stop.Dispose();
    }

    private async Task FollowAlwaysAsync()
    {
        TimeSpan wait = FirstRetry;
        while (!stop.IsCancellationRequested)
        {
            refusal = null;
            try
            {
                await FollowAsync(() => wait = FirstRetry);
                Ended("the stream ended");
            }
            catch (Exception e) when (e is RpcException or IOException or HttpRequestException or OperationCanceledException)
            {
                if (!stop.IsCancellationRequested)
                {
                    Ended(refusal ?? Describe(e));
                }
            }

            await Task.Delay(wait, time, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            wait = wait * 2 < LongestRetry ? wait * 2 : LongestRetry;
        }
    }

    private async Task FollowAsync(Action connected)
    {
        using AsyncServerStreamingCall<WatchEvent> call = connection.Client.Watch(new WatchRequest(), cancellationToken: stop.Token);
        StatusReply all = await connection.Client.StatusAsync(new StatusRequest(), deadline: DateTime.UtcNow + AnswerBound, cancellationToken: stop.Token);
        Replace(all);
        connected();
        await foreach (WatchEvent happened in call.ResponseStream.ReadAllAsync(stop.Token))
        {
            Heard();
            Take(happened);
        }
    }

    /// <summary>What vanished while nobody listened is not told by the stream.</summary>
    private void Replace(StatusReply all)
    {
        HashSet<string> present = [.. all.Volumes.Select(v => v.Uid)];
        foreach (string gone in volumes.Keys.Where(uid => !present.Contains(uid)))
        {
            volumes.TryRemove(gone, out _);
        }

        foreach (VolumeStatus volume in all.Volumes)
        {
            volumes[volume.Uid] = volume;
        }

        status = all.Node ?? status;
        Heard();
        fault = null;
        streams = true;
        answered = true;
        log.AgentAnswers(Node, Address, all.Volumes.Count);
        nodeChanged();
    }

    private void Take(WatchEvent happened)
    {
        switch (happened.EventCase)
        {
            case WatchEvent.EventOneofCase.Status:
                VolumeStatus? before = volumes.GetValueOrDefault(happened.Status.Uid);
                volumes[happened.Status.Uid] = happened.Status;
                if (before is null || VolumeNews.Matters(before, happened.Status))
                {
                    volumeChanged(happened.Status.Uid);
                }

                break;
            case WatchEvent.EventOneofCase.RemovedUid:
                volumes.TryRemove(happened.RemovedUid, out _);
                volumeChanged(happened.RemovedUid);
                break;
            case WatchEvent.EventOneofCase.Node:
                NodeStatus? last = status;
                status = happened.Node;
                if (last is null || VolumeNews.Matters(last, happened.Node))
                {
                    nodeChanged();
                }

                break;
        }
    }

    private void Ended(string why)
    {
        bool first = streams || fault is null;
        streams = false;
        bool news = answered || fault != why;
        answered = false;
        fault = why;
        if (first)
        {
            log.AgentLost(Node, Address, why);
        }

        if (news)
        {
            nodeChanged();
        }
    }

    /// <summary>Notices that nothing comes any more, and asks where nothing comes by itself.</summary>
    private async Task WatchSilenceAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            await Task.Delay(SilenceCheck, time, stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            bool now = Answers;
            if (now != answered)
            {
                answered = now;
                nodeChanged();
            }

            // Agents of api_level 1 send no heartbeat: an idle stream says nothing about them.
            if (streams && time.GetElapsedTime(HeardAt) > AnswerBound)
            {
                await PingAsync();
            }
        }
    }

    private async Task PingAsync()
    {
        try
        {
            // No volume has this uid: the answer "not found" is a sign of life as good as any, and costs the agent nothing.
            await Client.StatusAsync(new StatusRequest { Uid = "heartbeat" }, deadline: DateTime.UtcNow + PingBound, cancellationToken: stop.Token);
            Heard();
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            Heard();
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            // Silence is counted where it is looked at.
        }
    }

    private static string Describe(Exception e) => e is RpcException rpc
        ? rpc.Status.DebugException?.GetBaseException().Message ?? $"{rpc.Status.Detail} ({rpc.StatusCode})"
        : e.Message;
}
