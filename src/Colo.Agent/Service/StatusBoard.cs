using System.Collections.Concurrent;
using System.Threading.Channels;
using Colo.AgentApi;

namespace Colo.Agent.Service;

/// <summary>
/// Carries status changes to the streams of Watch. A watcher's memory is bounded by the number of volumes, whatever it reads: each holds
/// the UIDs that changed since it last looked, and takes the state of that moment, so that a slow one misses steps but never the latest.
/// </summary>
public sealed class StatusBoard
{
    private readonly ConcurrentDictionary<string, VolumeStatus> latest = new(StringComparer.Ordinal);
    private readonly Lock guard = new();
    private readonly List<Watcher> watchers = [];

    public bool IsWatched
    {
        get
        {
            lock (guard)
            {
                return watchers.Count > 0;
            }
        }
    }

    /// <summary>What watchers know, or are about to; null: nothing.</summary>
    public VolumeStatus? Latest(string uid) => latest.GetValueOrDefault(uid);

    /// <summary>Posts a status that nobody changes afterwards.</summary>
    public void Post(VolumeStatus status)
    {
        latest[status.Uid] = status;
        Notify(status.Uid);
    }

    public void Remove(string uid)
    {
        if (latest.TryRemove(uid, out _))
        {
            Notify(uid);
        }
    }

    /// <returns>null where <paramref name="maxWatchers"/> watch already.</returns>
    public Watcher? TryWatch(string uid, int maxWatchers)
    {
        lock (guard)
        {
            if (watchers.Count >= maxWatchers)
            {
                return null;
            }

            Watcher watcher = new(this, uid);
            watchers.Add(watcher);
            foreach (string known in latest.Keys)
            {
                watcher.Mark(known);
            }

            return watcher;
        }
    }

    private void Notify(string uid)
    {
        lock (guard)
        {
            foreach (Watcher watcher in watchers)
            {
                watcher.Mark(uid);
            }
        }
    }

    /// <summary>One stream; dispose it when the stream ends.</summary>
    public sealed class Watcher(StatusBoard board, string uid) : IDisposable
    {
        private readonly HashSet<string> changed = new(StringComparer.Ordinal);
        private readonly Channel<bool> wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

        /// <summary>The events since the last call; waits for the first.</summary>
        public async ValueTask<IReadOnlyList<WatchEvent>> NextAsync(CancellationToken token)
        {
            while (true)
            {
                await wake.Reader.ReadAsync(token);
                string[] uids;
                lock (board.guard)
                {
                    uids = [.. changed];
                    changed.Clear();
                }

                if (uids.Length > 0)
                {
                    return [.. uids.Select(u => board.latest.TryGetValue(u, out VolumeStatus? status)
                        ? new WatchEvent { Status = status }
                        : new WatchEvent { RemovedUid = u })];
                }
            }
        }

        public void Dispose()
        {
            lock (board.guard)
            {
                board.watchers.Remove(this);
            }
        }

        /// <summary>Under the board's lock.</summary>
        internal void Mark(string changedUid)
        {
            if ((uid.Length == 0 || uid == changedUid) && changed.Add(changedUid))
            {
                wake.Writer.TryWrite(true);
            }
        }
    }
}
