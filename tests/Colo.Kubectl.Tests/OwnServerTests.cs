using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.KubectlTests;

/// <summary>What needs a server of its own: without the CRD, stopped in the middle, without or with an operator's Lease.</summary>
public sealed class OwnServerTests
{
    [Fact]
    public async Task Without_the_CRD_it_says_what_to_install()
    {
        await using KubeApiServer server = await KubeApiServer.StartAsync();
        Coloctl coloctl = new(server.AdminKubeconfig, "default");

        foreach (string[] command in (string[][])[["status"], ["status", "-A"], ["status", "db"], ["checkpoint", "db"], ["events", "db"]])
        {
            ToolResult result = await coloctl.RunAsync(command);
            result.ExitCode.ShouldBe(4, result.Error);
            result.Error.ShouldBe(
                $"coloctl: the cluster at {server.Address.GetLeftPart(UriPartial.Authority)} (context 'test') knows no ReplicatedVolume " +
                "(replicatedvolumes.colo.dev/v1alpha1): install the chart colo-operator, or its crds/\n");
        }
    }

    [Fact]
    public async Task A_server_that_restarts_while_a_request_waits_is_waited_out_and_one_that_is_silent_is_named()
    {
        await using KubeApiServer server = await KubeApiServer.StartAsync();
        await ColoCluster.InstallCrdAsync(server);
        await ColoCluster.CreateVolumeAsync(server, "default", "db");
        Coloctl coloctl = new(server.AdminKubeconfig, "default");

        Task<ToolResult> asking = coloctl.RunAsync("checkpoint", "db", "--timeout", "2m");
        AnsweringOperator answering = new(server, "default", "db");
        await answering.UntilAskedAsync("checkpoint");
        await server.RestartAsync();
        await answering.AnswerAsync("checkpoint", "Fulfilled", "checkpoint 13");
        ToolResult result = await asking;
        result.ExitCode.ShouldBe(0, result.Error);

        await server.FreezeAsync();
        ToolResult silent = await coloctl.RunAsync("status", "--timeout", "2s");
        await server.ThawAsync();
        silent.ExitCode.ShouldBe(4);
        silent.Error.ShouldContain("did not answer within 2s");
    }

    [Fact]
    public async Task Whether_an_operator_runs_is_told_by_its_Lease_when_a_request_is_not_answered()
    {
        await using KubeApiServer server = await KubeApiServer.StartAsync();
        await ColoCluster.InstallCrdAsync(server);
        await ColoCluster.CreateVolumeAsync(server, "default", "db");
        Coloctl coloctl = new(server.AdminKubeconfig, "default");
        await server.Admin.OutputAsync("create", "namespace", "colo-system");

        ToolResult none = await coloctl.RunAsync("checkpoint", "db", "--timeout", "1s");
        none.ExitCode.ShouldBe(4);
        none.Error.ShouldContain("checkpoint of default/db: no outcome within 1s; no operator runs in this cluster (there is no Lease colo-operator)");
        none.Error.ShouldContain("it is withdrawn by: kubectl annotate -n default replicatedvolume db colo.dev/checkpoint-");

        await RenewAsync(server, second: 1);
        ToolResult dead = await coloctl.RunAsync("checkpoint", "db", "--timeout", "3s");
        dead.ExitCode.ShouldBe(4);
        dead.Error.ShouldContain("no operator runs: operator-1 has not renewed the Lease colo-system/colo-operator");

        await RenewAsync(server, second: 2, leaseSeconds: 3600);
        ToolResult tooShort = await coloctl.RunAsync("checkpoint", "db", "--timeout", "1s");
        tooShort.ExitCode.ShouldBe(3);
        tooShort.Error.ShouldContain("whether the operator runs cannot be told");

        Task<ToolResult> asking = coloctl.RunAsync("checkpoint", "db", "--timeout", "10s");
        for (int second = 3; !asking.IsCompleted; second++)
        {
            await RenewAsync(server, second);
        }

        ToolResult busy = await asking;
        busy.ExitCode.ShouldBe(3, busy.Error);
        busy.Error.ShouldContain("the operator runs (operator-1 renews the Lease colo-system/colo-operator)");
    }

    private static Task RenewAsync(KubeApiServer server, int second, int leaseSeconds = 2) => server.Admin.ApplyAsync(
        $$"""
        apiVersion: coordination.k8s.io/v1
        kind: Lease
        metadata: {name: colo-operator, namespace: colo-system}
        spec: {holderIdentity: operator-1, leaseDurationSeconds: {{leaseSeconds}}, renewTime: "2024-05-01T12:{{second / 60:00}}:{{second % 60:00}}.000000Z"}
        """);
}
