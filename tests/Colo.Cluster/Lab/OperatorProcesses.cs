using Colo.Testing;

namespace Colo.Cluster.Lab;

/// <summary>The operators' processes, found beforehand: the moment at which they are to die is short.</summary>
internal sealed class OperatorProcesses
{
    private readonly string[] pids;

    private OperatorProcesses(string[] pids) => this.pids = pids;

    public static async Task<OperatorProcesses> FindAsync(IEnumerable<Node> nodes)
    {
        List<string> pids = [];
        foreach (Node node in nodes)
        {
            pids.AddRange((await Site.ScriptAsync("node.sh", "pids", node.Name, "colo-operator.dll")).Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }

        pids.ShouldNotBeEmpty("no operator runs");
        return new([.. pids]);
    }

    /// <summary>SIGKILL. The kubelets start them again.</summary>
    public Task KillAsync() => Tool.RunAsync("/bin/kill", ["-KILL", .. pids]);
}
