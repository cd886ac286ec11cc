using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.Cluster.Lab;

/// <summary>Where the cluster of tests/cluster/up.sh lies, as eng/e2e.sh says.</summary>
internal static class Site
{
    public static string State { get; } = Environment.GetEnvironmentVariable("COLO_STATE")
        ?? throw new InvalidOperationException("COLO_STATE is not set: this program is run by eng/e2e.sh, inside the cluster's network");

    public static string Kubeconfig => Path.Combine(State, "admin.kubeconfig");

    /// <summary>Notes for the table at the end, and what was found of failed scenarios.</summary>
    public static string Results { get; } = Environment.GetEnvironmentVariable("COLO_RESULTS") ?? Path.GetDirectoryName(State)!;

    /// <summary>Of the operator and the agents.</summary>
    public static string Namespace => "colo-system";

    public static string Release => "colo-operator";

    public static string Chart => Path.Combine(Built.Repository, "charts", "colo-operator");

    public static async Task<string> ScriptAsync(string name, params string[] arguments) =>
        (await Tool.RunAsync(Path.Combine(Built.Repository, "tests", "cluster", name), arguments)).EnsureSuccess();
}
