using System.Globalization;
using System.Text.Json.Nodes;
using Colo.Kubernetes;
using Colo.Testing.Kube;
using Colo.Testing.Local;
using k8s;

namespace Colo.KubectlTests;

/// <summary>The API server of all tests here, with the repository's CRD; each test has a namespace of its own.</summary>
public sealed class ColoCluster : IAsyncLifetime
{
    private readonly KubeApiServerFixture fixture = new();

    public KubeApiServer Server => fixture.Server;

    public Kubectl Admin => fixture.Admin;

    internal Task<string> NewNamespaceAsync() => fixture.NewNamespaceAsync();

    internal async Task<Coloctl> AsAdminAsync() => new(Server.AdminKubeconfig, await NewNamespaceAsync());

    public async ValueTask InitializeAsync()
    {
        await fixture.InitializeAsync();
        await InstallCrdAsync(Server);
    }

    /// <summary>The one without CEL rules, which this API server does not know.</summary>
    internal static async Task InstallCrdAsync(KubeApiServer server)
    {
        await server.Admin.OutputAsync("apply", "-f", Path.Combine(Built.Repository, "crds", "without-rules", "colo.dev_replicatedvolumes.yaml"));
        await server.Admin.OutputAsync("wait", "--for=condition=Established", "crd/replicatedvolumes.colo.dev");
    }

    /// <summary>Volumes as an administrator reads and writes them; a kubectl process for each step would make the tests slow.</summary>
    internal static ResourceClient<JsonObject> Volumes(KubeApiServer server) => new(
        KubernetesConnection.Open(KubernetesClientConfiguration.BuildConfigFromConfigFile(server.AdminKubeconfig)),
        new ResourceType<JsonObject>("colo.dev", "v1alpha1", "replicatedvolumes"));

    /// <summary>A volume with the status that an operator would have given it.</summary>
    /// <returns>Its UID.</returns>
    internal static async Task<string> CreateVolumeAsync(KubeApiServer server, string @namespace, string name, JsonObject? status = null)
    {
        JsonObject manifest = new()
        {
            ["apiVersion"] = "colo.dev/v1alpha1",
            ["kind"] = "ReplicatedVolume",
            ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = @namespace },
            ["spec"] = new JsonObject { ["size"] = "20Gi" },
        };
        string uid = (await Volumes(server).CreateAsync(@namespace, manifest, CancellationToken.None)).Uid;
        await PatchStatusAsync(server, @namespace, name, status ?? Protected());
        return uid;
    }

    internal Task<string> CreateVolumeAsync(string @namespace, string name, JsonObject? status = null) => CreateVolumeAsync(Server, @namespace, name, status);

    internal static Task PatchStatusAsync(KubeApiServer server, string @namespace, string name, JsonObject status) =>
        Volumes(server).MergePatchAsync(new ObjectKey(@namespace, name), new JsonObject { ["status"] = status }, "status", CancellationToken.None);

    internal async Task<JsonNode> AnnotationsAsync(string @namespace, string name) =>
        (await Volumes(Server).GetAsync(new ObjectKey(@namespace, name), CancellationToken.None)).Value["metadata"]!["annotations"] ?? new JsonObject();

    internal Task AnnotateAsync(string @namespace, string name, string key, string? value) => Volumes(Server).MergePatchAsync(
        new ObjectKey(@namespace, name),
        new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [key] = value } } },
        subresource: null,
        CancellationToken.None);

    internal static JsonObject Protected(string primary = "node-a", string secondary = "node-b", long term = 3) => new()
    {
        ["phase"] = "Protected",
        ["message"] = $"{secondary} is in sync",
        ["term"] = term,
        ["currentPrimary"] = primary,
        ["targetPrimary"] = primary,
        ["currentSecondary"] = secondary,
        ["secondaryState"] = "InSync",
        ["replicas"] = new JsonArray(Replica(primary, "Primary", term), Replica(secondary, "Secondary", term)),
        ["checkpoint"] = new JsonObject { ["sequence"] = 12, ["lastTime"] = Time(DateTimeOffset.UtcNow.AddSeconds(-40)), ["bufferedBytes"] = "0" },
        ["endpoint"] = new JsonObject { ["unix"] = "/run/colo/sockets/db.sock", ["tcp"] = $"{primary}:9542" },
    };

    internal static string Time(DateTimeOffset at) => at.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    private static JsonObject Replica(string node, string role, long term) => new()
    {
        ["node"] = node,
        ["role"] = role,
        ["state"] = "Running",
        ["online"] = true,
        ["inSync"] = true,
        ["term"] = term,
        ["lastSeen"] = Time(DateTimeOffset.UtcNow),
    };

    /// <summary>An Event about a volume, as the operator writes them.</summary>
    internal async Task AddEventAsync(string @namespace, string volume, string uid, string reason, string message, TimeSpan age, int count = 1, string type = "Normal")
    {
        DateTimeOffset last = DateTimeOffset.UtcNow - age;
        JsonObject happened = new()
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Event",
            ["metadata"] = new JsonObject { ["name"] = $"{volume}.{Guid.NewGuid():N}", ["namespace"] = @namespace },
            ["involvedObject"] = new JsonObject
            {
                ["apiVersion"] = "colo.dev/v1alpha1",
                ["kind"] = "ReplicatedVolume",
                ["namespace"] = @namespace,
                ["name"] = volume,
                ["uid"] = uid,
            },
            ["reason"] = reason,
            ["message"] = message,
            ["type"] = type,
            ["count"] = count,
            ["firstTimestamp"] = Time(last.AddMinutes(-10)),
            ["lastTimestamp"] = Time(last),
            ["source"] = new JsonObject { ["component"] = "colo-operator" },
        };
        (await Admin.RunWithInputAsync(happened.ToJsonString(), ["create", "-f", "-"])).EnsureSuccess();
    }

    /// <summary>A user with one role in one namespace.</summary>
    internal async Task<Coloctl> UserAsync(string user, string @namespace, string rules)
    {
        await Admin.ApplyAsync(
            $$"""
            apiVersion: rbac.authorization.k8s.io/v1
            kind: Role
            metadata: {name: {{user}}, namespace: {{@namespace}}}
            rules: {{rules}}
            ---
            apiVersion: rbac.authorization.k8s.io/v1
            kind: RoleBinding
            metadata: {name: {{user}}, namespace: {{@namespace}}}
            roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{user}}}
            subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: {{user}}}]
            """);
        return new Coloctl(await Server.KubeconfigForUserAsync(user), @namespace);
    }

    public ValueTask DisposeAsync() => fixture.DisposeAsync();
}
