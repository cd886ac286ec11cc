using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Colo.Testing.Kube;
using Colo.Testing.Local;
using k8s;
using k8s.Models;

namespace Colo.Scale;

/// <param name="Volumes">How many.</param>
/// <param name="Nodes">On how many nodes.</param>
/// <param name="VictimPrimaries">Of these the node that will lose its power serves so many.</param>
/// <param name="RestSeconds">How long the operator is watched while nothing happens.</param>
internal sealed record ScalePlan(int Volumes, int Nodes, int VictimPrimaries, int RestSeconds);

/// <summary>What was measured; seconds and counts.</summary>
internal sealed record ScaleResult(
    ScalePlan Plan, double ConvergenceSeconds, double ConvergenceApiCallsPerVolume, double ConvergenceCpuSeconds, double RestCpuPercent,
    long RestResidentBytes, double RestApiCallsPerSecond, int FailedOver, double FirstFailoverSeconds, double LastFailoverSeconds,
    double FailoverApiCallsPerVolume, long ResidentBytes);

/// <summary>A real API server, a real operator process, simulated agents: fill, rest, lose a node.</summary>
internal sealed class ScaleRun(ScalePlan plan, Action<string> say)
{
    /// <summary>Far above what a healthy run needs; a run that hangs says where.</summary>
    private static readonly TimeSpan Bound = TimeSpan.FromMinutes(15);

    /// <summary>Seldom: a look at all volumes is work for the API server, of which the operator wants all that there is.</summary>
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(2);

    public async Task<ScaleResult> RunAsync()
    {
        await using KubeApiServer api = await KubeApiServer.StartAsync();
        (await api.Admin.RunAsync("apply", "-k", Path.Combine(Built.Repository, "crds", "without-rules"))).EnsureSuccess();
        (await api.Admin.RunAsync("create", "namespace", SimulatedFleet.Namespace)).EnsureSuccess();
        (await api.Admin.RunAsync("wait", "--for=condition=Established", "crd/replicatedvolumes.colo.dev", "--timeout=60s")).EnsureSuccess();
        using Kubernetes client = new(KubernetesClientConfiguration.BuildConfigFromConfigFile(api.AdminKubeconfig));
        await using SimulatedFleet fleet = new(client, plan.Nodes);
        await fleet.StartAsync();
        say($"{plan.Nodes} agents serve; creating {plan.Volumes} volumes");
        await using OperatorProcess @operator = OperatorProcess.Start(api.AdminKubeconfig);
        long start = Stopwatch.GetTimestamp();
        await CreateVolumesAsync(client);
        say($"created after {Since(start):0} s");
        await UntilAsync(@operator, async () => (await VolumesAsync(client)).Count(v => Phase(v) == "Protected"), plan.Volumes, "Protected");
        double convergence = Since(start);
        OperatorUsage converged = await @operator.UsageAsync();

        say($"all Protected after {convergence:0} s; watching the operator at rest for {plan.RestSeconds} s");
        OperatorUsage before = await @operator.UsageAsync();
        long restStart = Stopwatch.GetTimestamp();
        await Task.Delay(TimeSpan.FromSeconds(plan.RestSeconds));
        OperatorUsage after = await @operator.UsageAsync();
        double rest = Since(restStart);

        SimulatedNode victim = fleet.Nodes[0];
        HashSet<string> lost = [.. victim.Primaries];
        say($"{victim.Name} loses its power with {lost.Count} primaries");
        OperatorUsage beforeLoss = await @operator.UsageAsync();
        long cut = Stopwatch.GetTimestamp();
        victim.CutPower();
        await UntilAsync(@operator, () => Task.FromResult(lost.Count(fleet.Promotions.ContainsKey)), lost.Count, "served elsewhere");
        double[] times = [.. lost.Select(uid => Stopwatch.GetElapsedTime(cut, fleet.Promotions[uid].At).TotalSeconds).Order()];
        OperatorUsage end = await @operator.UsageAsync();
        return new ScaleResult(
            plan, convergence, converged.ApiCalls / plan.Volumes, converged.CpuSeconds,
            100 * (after.CpuSeconds - before.CpuSeconds) / rest, after.ResidentBytes, (after.ApiCalls - before.ApiCalls) / rest,
            lost.Count, times[0], times[^1], (end.ApiCalls - beforeLoss.ApiCalls) / lost.Count, end.ResidentBytes);
    }

    private static double Since(long start) => Stopwatch.GetElapsedTime(start).TotalSeconds;

    private static string? Phase(JsonNode volume) => (string?)volume["status"]?["phase"];

    /// <summary>The victim's share first: they name it as their primary; the others leave the choice to the operator.</summary>
    private async Task CreateVolumesAsync(IKubernetes client) =>
        await Parallel.ForEachAsync(Enumerable.Range(0, plan.Volumes), new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, token) =>
        {
            string placement = i < plan.VictimPrimaries ? """, "placement": {"primaryNode": "node-000"}""" : "";
            JsonElement volume = JsonElement.Parse($$"""
                {"apiVersion": "colo.dev/v1alpha1", "kind": "ReplicatedVolume", "metadata": {"name": "v{{i.ToString("0000", CultureInfo.InvariantCulture)}}"},
                 "spec": {"size": "1Gi"{{placement}}} }
                """);
            await client.CustomObjects.CreateNamespacedCustomObjectAsync(volume, "colo.dev", "v1alpha1", "default", "replicatedvolumes", cancellationToken: token);
        });

    private async Task UntilAsync(OperatorProcess @operator, Func<Task<int>> count, int wanted, string what)
    {
        long start = Stopwatch.GetTimestamp();
        long said = start;
        while (true)
        {
            int now = await count();
            if (now >= wanted)
            {
                return;
            }

            if (Stopwatch.GetElapsedTime(start) > Bound)
            {
                throw new TimeoutException($"{now} of {wanted} {what} after {Bound}\n{@operator.LogTail}");
            }

            if (Since(said) > 10)
            {
                said = Stopwatch.GetTimestamp();
                OperatorUsage usage = await @operator.UsageAsync();
                say($"{now} of {wanted} {what} after {Since(start):0} s; operator: {usage.CpuSeconds:0} s of CPU, {usage.ApiCalls:0} API calls");
            }

            await Task.Delay(Look);
        }
    }

    private static async Task<IReadOnlyList<JsonNode>> VolumesAsync(IKubernetes client)
    {
        // From the API server's cache: the measurement must not load etcd.
        object list = await client.CustomObjects.ListClusterCustomObjectAsync("colo.dev", "v1alpha1", "replicatedvolumes", resourceVersion: "0");
        return [.. JsonNode.Parse(((JsonElement)list).GetRawText())!["items"]!.AsArray().Select(i => i!)];
    }
}
