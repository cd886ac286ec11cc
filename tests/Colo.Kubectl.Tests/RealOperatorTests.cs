using Colo.Operator.Tests.Kit;
using Colo.Testing;

namespace Colo.KubectlTests;

/// <summary>The whole way: coloctl, the real API server, a real operator with the chart's rights, real agents.</summary>
public sealed class RealOperatorTests(ColoCluster kube)
{
    [Fact]
    public async Task Requests_are_carried_out_refused_or_left_waiting_and_coloctl_tells_which()
    {
        await using Operator.Tests.Kit.ColoCluster cluster = await Operator.Tests.Kit.ColoCluster.StartAsync(
            kube.Server, await kube.NewNamespaceAsync(), "a", "b");
        await using OperatorProcess running = cluster.StartOperator();
        Coloctl coloctl = new(kube.Server.AdminKubeconfig, cluster.Namespace);
        await cluster.CreateVolumeAsync("v", "size: 16Mi, placement: {primaryNode: " + cluster.Node("a") + "}");
        await cluster.PhaseAsync("v", "Protected");

        (await coloctl.RunAsync("status", "v")).EnsureSuccess().ShouldMatch($"{cluster.Node("b")} +Secondary +Running +yes +yes");

        ToolResult checkpoint = await coloctl.RunAsync("checkpoint", "v");
        checkpoint.ExitCode.ShouldBe(0, checkpoint.Error + running.Log);
        checkpoint.Output.ShouldStartWith($"checkpoint of {cluster.Namespace}/v is done: ");

        ToolResult switchover = await coloctl.RunAsync("switchover", "v");
        switchover.ExitCode.ShouldBe(0, switchover.Error + running.Log);
        (await cluster.StatusAsync("v", "currentPrimary")).ShouldBe(cluster.Node("b"));
        await cluster.EventAsync("v", "SwitchedOver");
        (await coloctl.RunAsync("events", "v")).EnsureSuccess().ShouldMatch("(?m)Normal +v +SwitchedOver ");

        ToolResult nowhere = await coloctl.RunAsync("switchover", "v", "--to", "nowhere");
        nowhere.ExitCode.ShouldBe(1, nowhere.Output);
        nowhere.Error.ShouldContain($"switchover of {cluster.Namespace}/v was refused: ");
        (await coloctl.RunAsync("status", "v")).EnsureSuccess().ShouldContain("switchover refused: ");

        await cluster.PhaseAsync("v", "Protected");
        await running.KillAsync();
        ToolResult nobody = await coloctl.RunAsync("checkpoint", "v", "--timeout", "8s");
        nobody.ExitCode.ShouldBe(4, nobody.Error);
        nobody.Error.ShouldContain("no operator runs");
    }
}
