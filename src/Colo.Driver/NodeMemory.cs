using Colo.AgentApi;

namespace Colo.Driver;

/// <summary>
/// What one node's agent last said, and when by this process's monotonic clock. Outlives the connection: an agent that moved to another
/// address is silent from its last word on, not from the new connection's first attempt. Safe for several threads.
/// </summary>
internal sealed class NodeMemory(string node, TimeProvider time, Action<AgentChange> changed)
{
    private readonly Lock guard = new();
    private readonly Dictionary<string, VolumeStatus> volumes = new(StringComparer.Ordinal);
    private NodeStatus? status;
    private long lastWord = time.GetTimestamp();
    private DateTimeOffset? lastSeen;
    private bool answers;
    private long heard;

    /// <summary>Words of the agent itself, counted.</summary>
    public long Heard
    {
        get
        {
            lock (guard)
            {
                return heard;
            }
        }
    }

    public int ApiLevel
    {
        get
        {
            lock (guard)
            {
                return status?.ApiLevel ?? 0;
            }
        }
    }

    public AgentSight Look(string uid)
    {
        lock (guard)
        {
            return answers
                ? new(node, TimeSpan.Zero, lastSeen, status, volumes.GetValueOrDefault(uid))
                : new(node, Silence, lastSeen, status, null);
        }
    }

    public bool Holds(string uid)
    {
        lock (guard)
        {
            return volumes.ContainsKey(uid);
        }
    }

    public (NodeStatus? Status, bool Answers, TimeSpan SilentFor, IReadOnlyList<VolumeStatus> Volumes) Snapshot()
    {
        lock (guard)
        {
            return (status, answers, answers ? TimeSpan.Zero : Silence, [.. volumes.Values]);
        }
    }

    /// <summary>Somebody else heard of it: it lives, though it may not answer here.</summary>
    public void HearFromElsewhere()
    {
        lock (guard)
        {
            lastWord = time.GetTimestamp();
        }
    }

    public void Hear()
    {
        lock (guard)
        {
            lastWord = time.GetTimestamp();
            lastSeen = time.GetUtcNow();
            answers = true;
            heard++;
        }
    }

    public void Hear(NodeStatus now)
    {
        bool differs;
        lock (guard)
        {
            differs = status is null || NewsOfAgents.Differs(status, now);
            status = now;
            Hear();
        }

        if (differs)
        {
            changed(new AgentChange(node, null));
        }
    }

    public void Hear(VolumeStatus now)
    {
        bool differs;
        lock (guard)
        {
            differs = !volumes.TryGetValue(now.Uid, out VolumeStatus? before) || NewsOfAgents.Differs(before, now);
            volumes[now.Uid] = now;
            Hear();
        }

        if (differs)
        {
            changed(new AgentChange(node, now.Uid));
        }
    }

    public void Forget(string uid)
    {
        lock (guard)
        {
            volumes.Remove(uid);
            Hear();
        }

        changed(new AgentChange(node, uid));
    }

    /// <param name="uid">What was asked for; empty: all, and what is not in the answer is not there.</param>
    public void Learn(string uid, StatusReply reply)
    {
        string[] gone;
        lock (guard)
        {
            HashSet<string> said = [.. reply.Volumes.Select(v => v.Uid)];
            gone = [.. volumes.Keys.Where(known => (uid.Length == 0 || known == uid) && !said.Contains(known))];
            foreach (string lost in gone)
            {
                volumes.Remove(lost);
            }
        }

        if (reply.Node is { } now)
        {
            Hear(now);
        }
        else
        {
            Hear();
        }

        foreach (VolumeStatus volume in reply.Volumes)
        {
            Hear(volume);
        }

        foreach (string lost in gone)
        {
            changed(new AgentChange(node, lost));
        }
    }

    /// <returns>Whether it answered until now.</returns>
    public bool Lose()
    {
        lock (guard)
        {
            bool before = answers;
            answers = false;
            return before;
        }
    }

    private TimeSpan Silence => time.GetElapsedTime(lastWord) is var silent && silent > TimeSpan.Zero ? silent : TimeSpan.FromTicks(1);
}
