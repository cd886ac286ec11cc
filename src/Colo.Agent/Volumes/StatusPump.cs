using Colo.Agent.Service;
using Colo.AgentApi;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>Looks for changes that no call made (a lost link, a full buffer, a resync's progress) while somebody watches, and only then.</summary>
public sealed class StatusPump(IVolumes volumes, StatusBoard board) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using PeriodicTimer timer = new(Interval);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            if (!board.IsWatched)
            {
                continue;
            }

            foreach (VolumeStatus status in Look())
            {
                // With what was posted last, by whomever: a call's own post may be of the moment before a change that was seen here.
                if (board.Latest(status.Uid) is not { } last || !WithoutCounters(last).Equals(WithoutCounters(status)))
                {
                    board.Post(status);
                }
            }
        }
    }

    /// <summary>Counters move with every request of the guest; they ride along with what an operator would act on.</summary>
    private static VolumeStatus WithoutCounters(VolumeStatus status)
    {
        VolumeStatus compared = status.Clone();
        compared.Io = null;
        return compared;
    }

    /// <summary>A replica that is closed, promoted or fenced at this very moment cannot always be asked; the next look finds what became of
    /// it. An exception out of here would end the whole agent, and with it every guest's disk.</summary>
    private IReadOnlyList<VolumeStatus> Look()
    {
        try
        {
            return volumes.Status("");
        }
        catch (Exception e) when (e is ReplicationException or StaleTermException or VolumeFaultException or ObjectDisposedException or IOException)
        {
            return [];
        }
    }
}
