using System.Diagnostics;
using Colo.Cluster.Load;
using Colo.Testing;

namespace Colo.Cluster.Lab;

/// <summary>
/// What all scenarios share: a healthy cluster before; afterwards, where one failed, what the cluster looks like, and then no volume left.
/// </summary>
public abstract class Scenario(KubeCluster cluster) : IAsyncLifetime
{
    private readonly List<Volume> volumes = [];

    /// <summary>A disk that changes its owner may be silent for that long: what the project promises with its defaults.</summary>
    protected static readonly TimeSpan Promise = TimeSpan.FromSeconds(5);

    protected KubeCluster Cluster => cluster;

    public async ValueTask InitializeAsync() => await cluster.HealthyAsync();

    public async ValueTask DisposeAsync()
    {
        if (TestContext.Current.TestState?.Result == TestResult.Failed)
        {
            await Evidence.CollectAsync();
        }

        // First the nodes: a volume is deleted by the agents.
        await cluster.HealthyAsync();
        foreach (Volume volume in volumes)
        {
            await volume.DisposeAsync();
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>A protected volume whose primary is on a node without the leading operator, unless that is asked for.</summary>
    internal async Task<Volume> VolumeAsync(bool withLeader = false)
    {
        Node leader = await cluster.LeaderAsync() ?? throw new InvalidOperationException("no operator leads");
        Node[] others = [.. cluster.Nodes.Where(node => node != leader)];
        Volume volume = await Volume.ApplyAsync(cluster, withLeader ? leader : others[0], others[1]);
        volumes.Add(volume);
        await volume.WaitProtectedAsync();
        return volume;
    }

    /// <summary>
    /// Something befalls the primary while its guest writes; the guest of the secondary's node must get answers, and the first one's
    /// must get none from then on.
    /// </summary>
    /// <returns>From the last answer of the old primary to the first of the new one.</returns>
    internal static async Task<TimeSpan> TakeoverAsync(Writer old, Writer successor, Func<Task> fault)
    {
        await old.ProgressAsync(500, Patience.Step);
        await fault();
        await successor.ProgressAsync(500, Patience.Step);
        return OneAfterTheOther(old, successor);
    }

    /// <summary>In no case two primaries acknowledge.</summary>
    internal static TimeSpan OneAfterTheOther(Writer old, Writer successor)
    {
        old.LastAnswer!.Value.ShouldBeLessThan(successor.FirstAnswer!.Value, "two primaries acknowledged");
        return Stopwatch.GetElapsedTime(old.LastAnswer.Value, successor.FirstAnswer.Value);
    }
}

/// <summary>What there is to see of a scenario that failed, taken before anything is mended.</summary>
internal static class Evidence
{
    public static async Task CollectAsync()
    {
        string folder = Path.Combine(Site.Results, "failed", Notes.Scenario);
        Directory.CreateDirectory(folder);
        string kubectl = await Colo.Testing.Kube.KubePrograms.PathOfAsync("kubectl");
        foreach ((string name, string[] arguments) in new (string, string[])[]
        {
            ("volumes.yaml", ["get", "rvol", "-A", "-o", "yaml"]),
            ("events.txt", ["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"]),
            ("pods.txt", ["get", "pods", "-A", "-o", "wide"]),
            ("nodes.txt", ["describe", "nodes"]),
            ("leases.yaml", ["-n", Site.Namespace, "get", "leases", "-o", "yaml"]),
        })
        {
            ToolResult said = await Tool.RunAsync(kubectl, ["--kubeconfig", Site.Kubeconfig, "--request-timeout=10s", .. arguments]);
            await File.WriteAllTextAsync(Path.Combine(folder, name), said.Output + said.Error);
        }

        // Of all containers that ever ran: the nodes' disks keep them.
        await Tool.BashAsync(
            $"cd {Site.State}/nodes && for node in *; do mkdir -p {folder}/$node && cp -rL $node/disk/var/log/pods/. {folder}/$node/; done");
    }
}
