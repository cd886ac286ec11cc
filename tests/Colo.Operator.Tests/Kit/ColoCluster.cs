using System.Text.Json.Nodes;
using Colo.Testing;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.Operator.Tests.Kit;

/// <summary>
/// A namespace of a real API server with real agents, without kubelets: agents and operator are processes with the rights of the chart's
/// own service accounts. Nodes are objects that the test makes.
/// </summary>
public sealed class ColoCluster : IAsyncDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly Dictionary<string, AgentProcess> agents = new(StringComparer.Ordinal);
    private string agentKubeconfig = "";

    private ColoCluster(KubeApiServer server, string @namespace) => (Server, Namespace) = (server, @namespace);

    public KubeApiServer Server { get; }

    public Testing.Kube.Kubectl Admin => Server.Admin;

    public string Namespace { get; }

    public string OperatorKubeconfig { get; private set; } = "";

    public IReadOnlyDictionary<string, AgentProcess> Agents => agents;

    /// <summary>Node names are unique among all clusters of the server: a, b, c with the namespace behind.</summary>
    public string Node(string letter) => $"{letter}-{Namespace}";

    public AgentProcess this[string letter] => agents[Node(letter)];

    public static async Task<ColoCluster> StartAsync(KubeApiServer server, string @namespace, params IReadOnlyList<string> letters)
    {
        ColoCluster cluster = new(server, @namespace);
        await cluster.InstallAsync();
        foreach (string letter in letters)
        {
            await cluster.AddNodeAsync(letter);
        }

        return cluster;
    }

    public Task<AgentProcess> AddNodeAsync(string letter, params IReadOnlyList<string> extra) => AddNodeAsync(letter, null, extra);

    public Task<AgentProcess> AddNodeAsync(string letter, SkewedClock? clock, params IReadOnlyList<string> extra) =>
        AddNodeAsync(letter, agentKubeconfig, clock, extra);

    /// <param name="letter">Of its name.</param>
    /// <param name="kubeconfig">How its agent reaches the API server.</param>
    /// <param name="clock">Null: the machine's.</param>
    /// <param name="extra">More arguments of the agent.</param>
    public async Task<AgentProcess> AddNodeAsync(string letter, string kubeconfig, SkewedClock? clock, IReadOnlyList<string> extra)
    {
        string name = Node(letter);
        await Admin.ApplyAsync(
            $$"""
            apiVersion: v1
            kind: Node
            metadata: {name: {{name}}, labels: {kubernetes.io/hostname: {{name}} } }
            """);
        AgentProcess agent = new(name, Path.Combine(directory.Path, letter), Namespace, kubeconfig, extra) { Clock = clock };
        Directory.CreateDirectory(agent.Root);
        agents[name] = agent;
        agent.Start();
        return agent;
    }

    /// <summary>Without election, unless more is said: on a machine that is busy a leader loses its Lease, and nobody starts it again here.</summary>
    public string[] OperatorArguments(params IReadOnlyList<string> more) =>
    [
        $"--namespace={Namespace}", $"--watch-namespaces={Namespace}", $"--kubeconfig={OperatorKubeconfig}", "--leader-elect=false", .. more,
    ];

    public OperatorProcess StartOperator(params IReadOnlyList<string> more) => OperatorProcess.Start(OperatorArguments(more));

    public Task CreateVolumeAsync(string name, string spec = "size: 16Mi") => Admin.ApplyAsync(
        $$"""
        apiVersion: colo.dev/v1alpha1
        kind: ReplicatedVolume
        metadata: {name: {{name}}, namespace: {{Namespace}}}
        spec: { {{spec}} }
        """);

    public Task<JsonNode> VolumeAsync(string name) => Admin.JsonAsync("get", "replicatedvolume", "-n", Namespace, name);

    public async Task<string?> StatusAsync(string name, string field)
    {
        JsonNode? at = (await VolumeAsync(name))["status"];
        foreach (string part in field.Split('.'))
        {
            at = at?[part];
        }

        return at?.ToString();
    }

    public async Task<string?> ConditionAsync(string name, string type, string field = "status") =>
        (await VolumeAsync(name))["status"]?["conditions"]?.AsArray().FirstOrDefault(c => (string?)c!["type"] == type)?[field]?.ToString();

    public Task PhaseAsync(string name, string phase) => StatusIsAsync(name, "phase", phase);

    public async Task StatusIsAsync(string name, string field, string value)
    {
        try
        {
            await Eventually.TrueAsync(async () => await StatusAsync(name, field) == value, $"{name}: status.{field} is {value}");
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}\n{await VolumeAsync(name)}", e);
        }
    }

    public async Task<bool> ExistsAsync(string name) =>
        (await Admin.OutputAsync("get", "replicatedvolume", "-n", Namespace, name, "--ignore-not-found")).Length > 0;

    /// <summary>Reasons of the Events about a volume.</summary>
    public async Task<IReadOnlyList<string>> EventsAsync(string name) =>
    [
        .. (await Admin.JsonAsync("get", "events", "-n", Namespace, "--field-selector", $"involvedObject.name={name}"))["items"]!.AsArray()
            .Select(e => (string)e!["reason"]!),
    ];

    public Task EventAsync(string name, string reason) =>
        Eventually.TrueAsync(async () => (await EventsAsync(name)).Contains(reason), $"{name} has an Event {reason}");

    public Task AnnotateAsync(string name, params IReadOnlyList<string> annotations) =>
        Admin.OutputAsync(["annotate", "--overwrite", "replicatedvolume", "-n", Namespace, name, .. annotations]);

    public async ValueTask DisposeAsync()
    {
        foreach (AgentProcess agent in agents.Values)
        {
            await agent.DisposeAsync();
        }

        foreach (string node in agents.Keys)
        {
            await Admin.RunAsync("delete", "node", node, "--wait=false");
        }

        directory.Dispose();
    }

    /// <summary>The CRD, and of the chart what says who may do what.</summary>
    private async Task InstallAsync()
    {
        await Admin.OutputAsync("apply", "-f", Path.Combine(Built.Repository, "crds", "without-rules", "colo.dev_replicatedvolumes.yaml"));
        await Admin.OutputAsync("wait", "--for=condition=Established", "crd/replicatedvolumes.colo.dev", "--timeout=60s");
        ToolResult chart = await Tool.RunAsync(
            await KubePrograms.PathOfAsync("helm"),
            [
                "template", Namespace, Path.Combine(Built.Repository, "charts", "colo-operator"), "--namespace", Namespace,
                "--set", "crds.install=false",
                "--set", "serviceAccounts.operator.name=colo-operator", "--set", "serviceAccounts.agent.name=colo-agent",
                "--show-only", "templates/serviceaccounts.yaml", "--show-only", "templates/rbac-operator.yaml",
                "--show-only", "templates/rbac-agent.yaml",
            ]);
        await Admin.ApplyAsync(chart.EnsureSuccess());
        OperatorKubeconfig = await Server.KubeconfigForServiceAccountAsync(Namespace, "colo-operator");
        agentKubeconfig = await Server.KubeconfigForServiceAccountAsync(Namespace, "colo-agent");
    }
}
