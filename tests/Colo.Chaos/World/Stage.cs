using System.Globalization;
using System.Text.Json.Nodes;
using Colo.Testing;
using Colo.Testing.Disks;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.Chaos.World;

/// <summary>
/// Everything of one run: a real API server (the arbiter), the real operator, three real agents on disks of their own, one volume.
/// Disposing it ends and removes all of it; what it did not make it does not touch.
/// </summary>
internal sealed class Stage : IAsyncDisposable
{
    public const string Volume = "v";
    private const string Namespace = "colo";
    private const int VolumeMebibytes = 16;
    private static readonly string[] NodeNames = ["a", "b", "c"];

    /// <summary>Buffers, images and state: memory, since the machine's disk is not what is tested.</summary>
    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly Dictionary<string, Victim> agents = new(StringComparer.Ordinal);
    private readonly Dictionary<string, FaultyDisk> disks = new(StringComparer.Ordinal);
    private readonly string logs;
    private Links? links;
    private KubeApiServer? api;
    private Victim? @operator;

    private readonly bool disksFail;

    private Stage(string logs, bool disksFail) => (this.logs, this.disksFail) = (logs, disksFail);

    public static IReadOnlyList<string> Nodes => NodeNames;

    public const string OperatorPlace = "o";

    public Links Links => links!;

    public KubeApiServer Api => api!;

    public Victim Operator => @operator!;

    public IReadOnlyDictionary<string, Victim> Agents => agents;

    public IReadOnlyDictionary<string, FaultyDisk> Disks => disks;

    public string Uid { get; private set; } = "";

    /// <param name="logs">Where the programs' logs go.</param>
    /// <param name="disksFail">Whether the nodes' disks are such as can fail: three programs more for each node.</param>
    /// <param name="token">Ends it; what was made so far is removed.</param>
    public static async Task<Stage> SetAsync(string logs, bool disksFail, CancellationToken token)
    {
        Stage stage = new(logs, disksFail);
        try
        {
            await stage.BuildAsync(token);
            return stage;
        }
        catch
        {
            await stage.DisposeAsync();
            throw;
        }
    }

    public string GuestSocket(string node) => Path.Combine(Root(node), "s", Uid + ".sock");

    /// <summary>What is on a node's disk, not what its caches say.</summary>
    public string DiskFile(string node) => Path.Combine(disks[node].Below, Uid, "disk.raw");

    /// <summary>The qcow2 overlays of a node's replica, on its disk and in its memory.</summary>
    public IEnumerable<string> Overlays(string node) =>
        new[] { disks[node].Below, Path.Combine(Root(node), "mem") }.Where(System.IO.Directory.Exists)
            .SelectMany(d => System.IO.Directory.EnumerateFiles(d, "*.qcow2", SearchOption.AllDirectories));

    /// <summary>The arbiter's record; null: it does not answer now.</summary>
    public async Task<VolumeRecord?> LookAsync()
    {
        try
        {
            KubeAnswer answer = await api!.SendAsync(HttpMethod.Get, VolumePath).WaitAsync(TimeSpan.FromSeconds(2));
            return answer.IsSuccess ? VolumeRecord.Parse(answer.Body) : null;
        }
        catch (Exception e) when (e is HttpRequestException or TimeoutException or OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>Asks for a switchover; not answered where the arbiter is away.</summary>
    public async Task AskForSwitchoverAsync(string node)
    {
        JsonNode patch = JsonNode.Parse($$"""{"metadata": {"annotations": {"colo.dev/switchover": "{{node}}"} } }""")!;
        try
        {
            await api!.SendAsync(HttpMethod.Patch, VolumePath, patch, "application/merge-patch+json").WaitAsync(TimeSpan.FromSeconds(2));
        }
        catch (Exception e) when (e is HttpRequestException or TimeoutException or OperationCanceledException)
        {
            // A person would see it fail, too.
        }
    }

    /// <summary>Of the last look, whole.</summary>
    public async Task<string> DescribeAsync() =>
        (await Tool.RunAsync("timeout", "10", await KubePrograms.PathOfAsync("kubectl"), "--kubeconfig", api!.AdminKubeconfig, "get", "replicatedvolume", "-n", Namespace, Volume, "-o", "yaml")).Output;

    public async ValueTask DisposeAsync()
    {
        if (@operator is not null)
        {
            await @operator.DisposeAsync();
        }

        foreach (Victim agent in agents.Values)
        {
            await agent.DisposeAsync();
        }

        foreach (FaultyDisk disk in disks.Values)
        {
            await disk.DisposeAsync();
        }

        if (api is not null)
        {
            await api.DisposeAsync();
        }

        if (links is not null)
        {
            await links.DisposeAsync();
        }

        directory.Dispose();
    }

    private static string VolumePath => $"/apis/colo.dev/v1alpha1/namespaces/{Namespace}/replicatedvolumes/{Volume}";

    private string Root(string node) => directory.File(node);

    private async Task BuildAsync(CancellationToken token)
    {
        links = await Links.CreateAsync();
        api = await KubeApiServer.StartAsync(links.Host, []);
        token.ThrowIfCancellationRequested();
        (string operatorConfig, string agentConfig) = await InstallAsync();
        foreach (string node in NodeNames)
        {
            token.ThrowIfCancellationRequested();
            await links.AddAsync(node);
            System.IO.Directory.CreateDirectory(Root(node));
            disks[node] = await FaultyDisk.CreateAsync(Root(node), Links.Run, canFail: disksFail && links.IsIsolated);
            await api.Admin.ApplyAsync($$"""
                apiVersion: v1
                kind: Node
                metadata: {name: {{node}}, labels: {kubernetes.io/hostname: {{node}} } }
                """);
            agents[node] = new(links, node, Built.Program("Colo.Agent", "colo-agent"), AgentArguments(node, agentConfig), Path.Combine(logs, $"agent-{node}.log"));
            await agents[node].EnsureStartedAsync();
        }

        await links.AddAsync(OperatorPlace);
        @operator = new(
            links, OperatorPlace, Built.Program("Colo.Operator", "colo-operator"),
            [
                "--namespace=" + Namespace, "--watch-namespaces=" + Namespace, "--kubeconfig=" + operatorConfig,
                "--leader-elect=false", $"--metrics-listen={links.AddressOf(OperatorPlace)}:8080",
            ],
            Path.Combine(logs, "operator.log"));
        await @operator.EnsureStartedAsync();
        await api.Admin.ApplyAsync(string.Create(CultureInfo.InvariantCulture, $$"""
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata: {name: {{Volume}}, namespace: {{Namespace}}}
            spec: {size: {{VolumeMebibytes}}Mi}
            """));
        Uid = (string)(await api.SendAsync(HttpMethod.Get, VolumePath)).Body["metadata"]!["uid"]!;
    }

    private IReadOnlyList<string> AgentArguments(string node, string kubeconfig) =>
    [
        "--node-name", node,
        "--pool", "default=" + disks[node].Directory,
        "--socket-directory", Path.Combine(Root(node), "s"),
        "--memory-buffer-directory", Path.Combine(Root(node), "mem"),
        "--grpc-listen", $"{links!.AddressOf(node)}:9540",
        "--replication-listen", $"{links.AddressOf(node)}:9541",
        "--metrics-listen", $"{links.AddressOf(node)}:9543",
        "--kubeconfig", kubeconfig,
        "--kubernetes-namespace", Namespace,
    ];

    /// <summary>The CRD, and of the chart what says who may do what.</summary>
    private async Task<(string Operator, string Agent)> InstallAsync()
    {
        Kubectl admin = api!.Admin;
        await admin.OutputAsync("apply", "-f", Path.Combine(Built.Repository, "crds", "without-rules", "colo.dev_replicatedvolumes.yaml"));
        await admin.OutputAsync("wait", "--for=condition=Established", "crd/replicatedvolumes.colo.dev", "--timeout=60s");
        await admin.OutputAsync("create", "namespace", Namespace);
        ToolResult chart = await Tool.RunAsync(
            await KubePrograms.PathOfAsync("helm"),
            [
                "template", Namespace, Path.Combine(Built.Repository, "charts", "colo-operator"), "--namespace", Namespace,
                "--set", "tls.mode=none", "--set", "crds.install=false",
                "--set", "serviceAccounts.operator.name=colo-operator", "--set", "serviceAccounts.agent.name=colo-agent",
                "--show-only", "templates/serviceaccounts.yaml", "--show-only", "templates/rbac-operator.yaml",
                "--show-only", "templates/rbac-agent.yaml",
            ]);
        await admin.ApplyAsync(chart.EnsureSuccess());
        return (await api.KubeconfigForServiceAccountAsync(Namespace, "colo-operator"), await api.KubeconfigForServiceAccountAsync(Namespace, "colo-agent"));
    }
}

/// <summary>What the arbiter holds of the volume.</summary>
/// <param name="Switchover">When a switchover that was asked for was done; null: the last request was none, or came to nothing.</param>
internal sealed record VolumeRecord(long Term, string? Primary, string? Secondary, string? SecondaryState, string? Phase, string? Switchover)
{
    public static VolumeRecord Parse(JsonNode volume)
    {
        JsonNode? status = volume["status"];
        return new(
            (long?)status?["term"] ?? 0, (string?)status?["currentPrimary"], (string?)status?["currentSecondary"],
            (string?)status?["secondaryState"], (string?)status?["phase"],
            status?["lastRequest"] is { } request && (string?)request["verb"] == "switchover" && (string?)request["outcome"] == "Fulfilled"
                ? (string?)request["time"] : null);
    }
}
