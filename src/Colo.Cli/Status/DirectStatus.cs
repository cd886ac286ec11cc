using Colo.AgentApi;
using Colo.Cli.Local;
using Colo.Control;
using Colo.Driver;

namespace Colo.Cli.Status;

/// <summary>The status of an installation whose control loop does not run: one look at the records and the agents.</summary>
public static class DirectStatus
{
    public static async Task<IReadOnlyList<VolumeReport>> ReadAsync(LocalLayout layout, LocalState state, CancellationToken token)
    {
        Dictionary<string, AgentConnection> agents =
            state.Agents.ToDictionary(a => a.Node, a => new AgentConnection("unix:" + layout.AgentSocket(a.Node)), StringComparer.Ordinal);
        try
        {
            List<VolumeReport> reports = [];
            foreach (LocalVolume volume in state.Volumes)
            {
                VolumeObserver observer = new(volume.Uid, new PolledAgents(agents, TimeProvider.System), new VolumeRecordFile(layout.Records, volume.Uid), TimeProvider.System);
                VolumeObservation seen = await observer.ObserveAsync(volume.Manifest.Spec.StoragePool, [], ask: false, token);
                VolumeInput input = new(volume.Uid, volume.Manifest.Spec, seen.Truth, seen.Views, volume.Intent);
                VolumePlan plan = VolumeReconciler.Plan(input);
                reports.Add(new VolumeReport(
                    volume.Manifest with
                    {
                        Metadata = volume.Manifest.Metadata with { Uid = volume.Uid },
                        Status = VolumeStatusBuilder.Build(plan, input, seen, layout.GuestSocket(volume.Name)),
                    },
                    []));
            }

            return reports;
        }
        finally
        {
            foreach (AgentConnection agent in agents.Values)
            {
                agent.Dispose();
            }
        }
    }
}
