using Colo.Agent.Service;
using Colo.AgentApi;

namespace Colo.Agent.Volumes;

/// <summary>Looks for changes that no call made (a lost link, a full buffer, a resync's progress) while somebody watches, and only then.</summary>
public sealed class StatusPump(IVolumes volumes, StatusBoard board) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        Dictionary<string, VolumeStatus> posted = new(StringComparer.Ordinal);
        using PeriodicTimer timer = new(Interval);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            if (!board.IsWatched)
            {
                continue;
            }

            foreach (VolumeStatus status in volumes.Status(""))
            {
                // Counters move with every request of the guest; they ride along with what an operator would act on.
                VolumeStatus compared = status.Clone();
                compared.Io = null;
                if (!posted.TryGetValue(status.Uid, out VolumeStatus? last) || !last.Equals(compared))
                {
                    posted[status.Uid] = compared;
                    board.Post(status);
                }
            }
        }
    }
}
