using System.Text.Json.Nodes;
using Colo.Chart.Tests.Render;
using Colo.Testing;
using Colo.Testing.Kube;
using Colo.Testing.Local;

namespace Colo.Chart.Tests.Cluster;

/// <summary>
/// A process as the chart would start it: with the arguments of its container, the certificates of its Secret and the token of its service
/// account. Only what a kubelet would fill in is filled in here: the downward API and the mounts.
/// </summary>
internal sealed class ShippedProgram : IAsyncDisposable
{
    private readonly RunningTool process;

    private ShippedProgram(RunningTool process, string metrics)
    {
        this.process = process;
        Metrics = metrics;
    }

    /// <summary>host:port of /metrics and /readyz.</summary>
    public string Metrics { get; }

    public string Log => process.Output + process.Error;

    public bool HasExited => process.Process.HasExited;

    /// <summary>Of one node: its directories under <paramref name="root"/> (short: it holds sockets), its ports free ones.</summary>
    public static async Task<ShippedProgram> StartAgentAsync(InstalledChart cluster, string node, string root)
    {
        int metrics = LoopbackPort.FindFree();
        Manifest daemonSet = (await ColoChart.TemplateAsync(
            ColoChart.Newest,
            "--set", "agent.listenAddress=127.0.0.1", "--set", $"agent.ports.metrics={metrics}", "--set", $"agent.ports.grpc={LoopbackPort.FindFree()}",
            "--set", $"agent.ports.replication={LoopbackPort.FindFree()}", "--set", $"agent.runDirectory={root}",
            "--set", $"agent.pools[0].name=default,agent.pools[0].path={root}/pool", "--set", $"agent.memoryBuffer.path={root}/memory"))
            .Single(m => m.Kind == "DaemonSet");
        return await StartAsync(cluster, "agent", daemonSet, node, root, $"127.0.0.1:{metrics}");
    }

    public static async Task<ShippedProgram> StartOperatorAsync(InstalledChart cluster, string root)
    {
        int metrics = LoopbackPort.FindFree();

        // On a machine that is busy with other tests a leader may be late; here nobody would start it again.
        Manifest deployment = (await ColoChart.TemplateAsync(ColoChart.Newest, "--set", $"operator.port={metrics}", "--set", "operator.leaderLease=60s")).Single(m => m.Kind == "Deployment");
        return await StartAsync(cluster, "operator", deployment, "operator-0", root, $"127.0.0.1:{metrics}");
    }

    public ValueTask DisposeAsync() => process.DisposeAsync();

    private static async Task<ShippedProgram> StartAsync(InstalledChart cluster, string role, Manifest workload, string name, string root, string metrics)
    {
        JsonNode pod = workload.Spec["template"]!["spec"]!;
        foreach (string volume in new[] { "tls", "authority" })
        {
            await MountAsync(cluster.Admin, pod, volume, Directory.CreateDirectory(Path.Combine(root, volume)).FullName);
        }

        string account = (string)pod["serviceAccountName"]!;
        await cluster.Admin.ApplyAsync(
            $$"""
            apiVersion: v1
            kind: Pod
            metadata: {name: {{role}}-{{name}}, namespace: {{ColoChart.Namespace}}}
            spec: {nodeName: {{name}}, serviceAccountName: {{account}}, automountServiceAccountToken: false, containers: [{name: {{role}}, image: none}]}
            """);
        string kubeconfig = await cluster.Server.KubeconfigForServiceAccountAsync(ColoChart.Namespace, account, $"{role}-{name}");
        string[] arguments =
        [
            .. workload.Arguments.Select(a => a
                .Replace("$(POD_NAMESPACE)", ColoChart.Namespace, StringComparison.Ordinal)
                .Replace("$(POD_NAME)", name, StringComparison.Ordinal)
                .Replace("$(NODE_NAME)", name, StringComparison.Ordinal)
                .Replace("$(POD_IP)", "127.0.0.1", StringComparison.Ordinal)
                .Replace("/etc/colo/", root + "/", StringComparison.Ordinal)),
        ];
        arguments.ShouldAllBe(a => !a.Contains("$(", StringComparison.Ordinal));
        string project = role == "agent" ? "Colo.Agent" : "Colo.Operator";
        return new(RunningTool.Start(Built.Program(project, $"colo-{role}"), [.. arguments, "--kubeconfig", kubeconfig]), metrics);
    }
    /// <summary>What is in the Secret or ConfigMap of that volume, where the pod has one.</summary>
    private static async Task MountAsync(Kubectl admin, JsonNode pod, string volume, string directory)
    {
        JsonNode? source = pod["volumes"]!.AsArray().FirstOrDefault(v => (string)v!["name"]! == volume);
        if (source?["secret"] is { } secret)
        {
            JsonNode data = (await admin.JsonAsync("get", "secret", (string)secret["secretName"]!, "-n", ColoChart.Namespace))["data"]!;
            foreach ((string key, JsonNode? value) in data.AsObject())
            {
                await File.WriteAllBytesAsync(Path.Combine(directory, key), Convert.FromBase64String((string)value!));
            }
        }
        else if (source?["configMap"] is { } map)
        {
            JsonNode data = (await admin.JsonAsync("get", "configmap", (string)map["name"]!, "-n", ColoChart.Namespace))["data"]!;
            foreach ((string key, JsonNode? value) in data.AsObject())
            {
                await File.WriteAllTextAsync(Path.Combine(directory, key), (string)value!);
            }
        }
    }
}
