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
    private readonly Dictionary<string, long> announcedAt = new(StringComparer.Ordinal);
    private NodeStatus? status;
    private string? address;
    private string? fault;
    private long lastWord = time.GetTimestamp();
    private DateTimeOffset? lastSeen;
    private bool answers;
    private bool stopping;
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
                : new(node, Silence, lastSeen, status, null) { WasStopping = stopping };
        }
    }

    public bool Holds(string uid)
    {
        lock (guard)
        {
            return volumes.ContainsKey(uid);
        }
    }

    public AgentNode Describe()
    {
        lock (guard)
        {
            return new(node, address, answers, answers ? TimeSpan.Zero : Silence, answers ? null : fault, status, [.. volumes.Values]);
        }
    }

    public void LookedForAt(string there)
    {
        lock (guard)
        {
            address = there;
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

    public void HearWhetherStopping(bool isStopping)
    {
        lock (guard)
        {
            stopping = isStopping;
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

    public void Hear(NodeStatus now) => Learn(now, [], []);

    public void Hear(VolumeStatus now)
    {
        lock (guard)
        {
            Learn(null, [now], []);
            announcedAt[now.Uid] = heard;
        }
    }

    public void Forget(string uid)
    {
        lock (guard)
        {
            Learn(null, [], [uid]);
            announcedAt[uid] = heard;
        }
    }

    /// <param name="uid">What was asked for; empty: all, and what is not in the answer is not there.</param>
    /// <param name="askedAt"><see cref="Heard"/> when it was asked. What the stream said of a volume since then is newer than the answer, or
    /// something newer will follow through the stream: an answer that took its time never overwrites it.</param>
    public void Learn(string uid, StatusReply reply, long askedAt)
    {
        lock (guard)
        {
            bool IsNews(string of) => announcedAt.GetValueOrDefault(of) <= askedAt;
            HashSet<string> said = [.. reply.Volumes.Select(v => v.Uid)];
            Learn(
                reply.Node,
                [.. reply.Volumes.Where(v => IsNews(v.Uid))],
                [.. volumes.Keys.Where(known => (uid.Length == 0 || known == uid) && !said.Contains(known) && IsNews(known))]);
        }
    }

    /// <summary>All of it at once: a node that answers and whose volumes are not known yet would look as if it had none. The announcement
    /// is made under the lock too, so that two of them keep their order; who hears it only takes note.</summary>
    private void Learn(NodeStatus? now, IReadOnlyCollection<VolumeStatus> present, IReadOnlyCollection<string> gone)
    {
        lock (guard)
        {
            if (now is not null && (status is null || NewsOfAgents.Differs(status, now)))
            {
                changed(new AgentChange(node, null));
            }

            status = now ?? status;
            stopping = now?.Stopping ?? stopping;
            foreach (VolumeStatus volume in present)
            {
                if (!volumes.TryGetValue(volume.Uid, out VolumeStatus? before) || NewsOfAgents.Differs(before, volume))
                {
                    changed(new AgentChange(node, volume.Uid));
                }

                volumes[volume.Uid] = volume;
            }

            foreach (string uid in gone)
            {
                volumes.Remove(uid);
                changed(new AgentChange(node, uid));
            }

            Hear();
        }
    }

    /// <returns>Whether that is news: it answered until now, or failed for another reason.</returns>
    public bool Lose(string reason)
    {
        lock (guard)
        {
            bool before = answers || fault != reason;
            (answers, fault) = (false, reason);
            return before;
        }
    }

    private TimeSpan Silence => time.GetElapsedTime(lastWord) is var silent && silent > TimeSpan.Zero ? silent : TimeSpan.FromTicks(1);
}
