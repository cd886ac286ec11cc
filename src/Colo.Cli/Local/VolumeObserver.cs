using Colo.AgentApi;
using Colo.Control;
using Grpc.Core;

namespace Colo.Cli.Local;

/// <summary>
/// Asks every agent for one volume and reads its record. Silence is counted by this process's monotonic clock from the last answer
/// that it saw itself; nothing an agent says about time is believed.
/// </summary>
public sealed class VolumeObserver
{
    /// <summary>A poll that takes longer counts as silence; far above what a busy machine needs.</summary>
    private static readonly TimeSpan AnswerBound = TimeSpan.FromMilliseconds(1000);

    private readonly string uid;
    private readonly IReadOnlyDictionary<string, AgentConnection> agents;
    private readonly VolumeRecordFile record;
    private readonly TimeProvider time;
    private readonly Dictionary<string, long> lastAnswer;
    private readonly Dictionary<string, DateTimeOffset> lastSeen = new(StringComparer.Ordinal);
    private (long Sequence, long Term, long At) checkpoint;

    public VolumeObserver(string uid, IReadOnlyDictionary<string, AgentConnection> agents, VolumeRecordFile record, TimeProvider time)
    {
        this.uid = uid;
        this.agents = agents;
        this.record = record;
        this.time = time;
        long now = time.GetTimestamp();
        lastAnswer = agents.Keys.ToDictionary(node => node, _ => now, StringComparer.Ordinal);
        checkpoint = (-1, -1, now);
    }

    public VolumeRecordFile Record => record;

    /// <summary>A checkpoint that was tried counts for the schedule as one that was made: it is not repeated in every round.</summary>
    public void CheckpointTried() => checkpoint.At = time.GetTimestamp();

    public async Task<VolumeObservation> ObserveAsync(CancellationToken token)
    {
        Task<StatusReply?>[] calls = [.. agents.Select(agent => AskAsync(agent.Value, token))];
        StatusReply?[] replies = await Task.WhenAll(calls);
        Dictionary<string, VolumeStatus> statuses = new(StringComparer.Ordinal);
        Dictionary<string, NodeStatus> nodes = new(StringComparer.Ordinal);
        List<ReplicaView> views = [];
        foreach ((string node, StatusReply? reply) in agents.Keys.Zip(replies))
        {
            views.Add(View(node, reply, statuses, nodes));
        }

        // Read last: a record older than what the agents say would make a decision look back.
        (VolumeRecord? current, string? fault) = ReadRecord();
        return new(current, fault, views, statuses, nodes, new Dictionary<string, DateTimeOffset>(lastSeen, StringComparer.Ordinal));
    }

    private async Task<StatusReply?> AskAsync(AgentConnection agent, CancellationToken token)
    {
        try
        {
            return await agent.Client.StatusAsync(new StatusRequest { Uid = uid }, deadline: DateTime.UtcNow + AnswerBound, cancellationToken: token);
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
        {
            return new StatusReply();
        }
        catch (RpcException) when (!token.IsCancellationRequested)
        {
            return null;
        }
    }

    private ReplicaView View(string node, StatusReply? reply, Dictionary<string, VolumeStatus> statuses, Dictionary<string, NodeStatus> nodes)
    {
        if (reply is null)
        {
            TimeSpan silent = time.GetElapsedTime(lastAnswer[node]);
            return new ReplicaView(node, silent > TimeSpan.Zero ? silent : TimeSpan.FromTicks(1));
        }

        lastAnswer[node] = time.GetTimestamp();
        lastSeen[node] = time.GetUtcNow();
        if (reply.Node is not null)
        {
            nodes[node] = reply.Node;
        }

        if (reply.Volumes.FirstOrDefault(v => v.Uid == uid) is not { } status)
        {
            return new ReplicaView(node, TimeSpan.Zero);
        }

        statuses[node] = status;
        return Translate.ToView(node, status, SinceCheckpoint(status));
    }

    private TimeSpan SinceCheckpoint(VolumeStatus status)
    {
        if (status.Role == Role.Primary && (status.CheckpointSequence, status.Term) != (checkpoint.Sequence, checkpoint.Term))
        {
            checkpoint = (status.CheckpointSequence, status.Term, time.GetTimestamp());
        }

        return time.GetElapsedTime(checkpoint.At);
    }

    private (VolumeRecord? Record, string? Fault) ReadRecord()
    {
        try
        {
            return (record.Read(), null);
        }
        catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException)
        {
            return (null, e.Message);
        }
    }
}
