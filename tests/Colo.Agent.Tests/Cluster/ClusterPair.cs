using Colo.AgentApi;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Agent.Tests.Cluster;

/// <summary>
/// Two agent processes, a and b, in a cluster that is a real API server and nothing else. They act as a user who has the rights that the
/// chart gives to agents and no more; the test is the control plane.
/// </summary>
public sealed class ClusterPair : IAsyncDisposable
{
    /// <summary>What the agents of a cluster need: their Lease in their own namespace, and the records of volumes anywhere.</summary>
    private const string Rights =
        """
        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata: {name: NAMESPACE-agent}
        rules:
        - {apiGroups: [colo.dev], resources: [replicatedvolumes], verbs: [get]}
        - {apiGroups: [colo.dev], resources: [replicatedvolumes/status], verbs: [patch]}
        - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRoleBinding
        metadata: {name: NAMESPACE-agent}
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAMESPACE-agent}
        subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: NAMESPACE-agent}]
        """;

    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly k8s.Kubernetes client;

    private ClusterPair(KubeApiServer server, string @namespace)
    {
        (Server, Namespace) = (server, @namespace);
        client = VolumeObjects.Client(server.AdminKubeconfig);
    }

    public KubeApiServer Server { get; }

    public string Namespace { get; }

    public string AgentKubeconfig { get; private set; } = "";

    public AgentUnderTest A { get; private set; } = null!;

    public AgentUnderTest B { get; private set; } = null!;

    public static async Task<ClusterPair> StartAsync(KubeApiServer server, string @namespace)
    {
        await VolumeObjects.DefineAsync(server.Admin);
        (await server.Admin.RunWithInputAsync(Rights.Replace("NAMESPACE", @namespace, StringComparison.Ordinal), "apply", "-f", "-")).EnsureSuccess();
        ClusterPair pair = new(server, @namespace) { AgentKubeconfig = await server.KubeconfigForUserAsync($"{@namespace}-agent") };
        Task<AgentUnderTest> a = pair.StartAgentAsync("a");
        Task<AgentUnderTest> b = pair.StartAgentAsync("b");
        (pair.A, pair.B) = await AgentUnderTest.BothAsync(a, b);
        return pair;
    }

    /// <param name="node">Its name.</param>
    /// <param name="root">Where its disks lie; null: among those of the pair.</param>
    public Task<AgentUnderTest> StartAgentAsync(string node, TempDirectory? root = null) => AgentUnderTest.StartAsync(
        node,
        (root ?? directory).Path,
        directory.File("no-files"),
        "--kubeconfig", AgentKubeconfig, "--kubernetes-namespace", Namespace, "--kubernetes-timeout-milliseconds", "1500");

    /// <summary>The record of a volume, as the control plane reads and changes it.</summary>
    public VolumeRecordObject Record(string name, string uid) => VolumeObjects.Store(client, Namespace, name, uid);

    /// <summary>A volume with a as primary and b as secondary, both new, in sync; returns its uid.</summary>
    public async Task<string> CreateAsync(string name)
    {
        string uid = await VolumeObjects.CreateAsync(Server.Admin, Namespace, name);
        (await Record(name, uid).TryCreateAsync(new(uid, 1, "a", "", SecondaryState.None), CancellationToken.None)).Done.ShouldBeTrue();
        await B.Client.PrepareAsync(Request(name, uid, 1, Role.Secondary));
        await A.Client.PrepareAsync(Request(name, uid, 1, Role.Primary));
        await B.Client.StartAsync(new StartRequest { Volume = AgentPair.Ref(uid, 1), Resync = ResyncMode.None });
        await A.Client.StartAsync(new StartRequest
        {
            Volume = AgentPair.Ref(uid, 1),
            Resync = ResyncMode.None,
            Peer = new() { Node = "b", ReplicationAddress = B.ReplicationAddress },
        });
        return uid;
    }

    public PrepareRequest Request(string name, string uid, long term, Role role)
    {
        PrepareRequest request = AgentPair.Request(uid, term, role);
        (request.Name, request.Namespace) = (name, Namespace);
        request.Arbiter = new() { Kubernetes = true };
        return request;
    }

    public async ValueTask DisposeAsync()
    {
        await A.DisposeAsync();
        await B.DisposeAsync();
        client.Dispose();
        directory.Dispose();
    }
}
