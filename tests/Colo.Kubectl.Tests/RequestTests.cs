using System.Text.Json.Nodes;
using Colo.Testing;

namespace Colo.KubectlTests;

/// <summary>Requests through the real API server; the operator's part is played here.</summary>
public sealed class RequestTests(ColoCluster cluster)
{
    [Theory]
    [InlineData("checkpoint", null, "checkpoint")]
    [InlineData("switchover", "node-b", "switchover")]
    [InlineData("switchover", "node-c", "switchover", "--to", "node-c")]
    [InlineData("failover", "3", "failover")]
    [InlineData("resync", "node-b", "resync", "--node", "node-b")]
    public async Task A_request_is_an_annotation_and_its_outcome_is_told(string verb, string? value, params string[] arguments)
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        AnsweringOperator answering = new(cluster.Server, coloctl.Namespace, "db");

        Task<ToolResult> asking = coloctl.RunAsync([.. arguments, "db"]);
        JsonObject annotations = await answering.AnswerAsync(verb, "Fulfilled", "all is well");
        ToolResult result = await asking;

        result.ExitCode.ShouldBe(0, result.Error);
        result.Output.ShouldStartWith($"{verb} of {coloctl.Namespace}/db is done: all is well (");
        string asked = annotations[$"colo.dev/{verb}"]!.GetValue<string>();
        asked.ShouldNotBeEmpty();
        asked.ShouldBe(value ?? asked);
        annotations.ContainsKey("colo.dev/accept-data-loss").ShouldBeFalse();
    }

    [Theory]
    [InlineData("Refused", "switchover of NS/db was refused: node-b is not in sync")]
    [InlineData("Failed", "switchover of NS/db failed: node-b is not in sync")]
    public async Task What_was_not_done_ends_with_an_error(string outcome, string sentence)
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        Task<ToolResult> asking = coloctl.RunAsync("switchover", "db");
        await new AnsweringOperator(cluster.Server, coloctl.Namespace, "db").AnswerAsync("switchover", outcome, "node-b is not in sync");
        ToolResult result = await asking;

        result.ExitCode.ShouldBe(1);
        result.Error.ShouldContain(sentence.Replace("NS", coloctl.Namespace, StringComparison.Ordinal));
        result.Output.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_request_that_is_under_way_is_waited_for_and_what_happens_is_told()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        AnsweringOperator answering = new(cluster.Server, coloctl.Namespace, "db");

        await using RunningTool asking = coloctl.Start([], "switchover", "db");
        await answering.AnswerAsync("switchover", "Accepted", "node-b is being promoted", new JsonObject { ["phase"] = "FailingOver", ["message"] = "on the way" });
        await Eventually.TrueAsync(() => asking.Error.Contains("db: FailingOver: on the way", StringComparison.Ordinal), "the phase is told");
        asking.Process.HasExited.ShouldBeFalse();
        await ColoCluster.PatchStatusAsync(cluster.Server, coloctl.Namespace, "db", new JsonObject
        {
            ["lastRequest"] = new JsonObject { ["verb"] = "switchover", ["outcome"] = "Fulfilled", ["message"] = "node-b is primary", ["time"] = ColoCluster.Time(DateTimeOffset.UtcNow) },
        });

        ToolResult result = await asking.WaitAsync();
        result.ExitCode.ShouldBe(0, result.Error);
        result.Output.ShouldContain("node-b is primary");
    }

    [Fact]
    public async Task The_outcome_of_an_earlier_request_is_not_taken_for_this_one()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        JsonObject status = ColoCluster.Protected();
        status["lastRequest"] = new JsonObject { ["verb"] = "checkpoint", ["outcome"] = "Fulfilled", ["message"] = "an earlier one", ["time"] = "2024-05-01T12:00:00Z" };
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db", status);
        AnsweringOperator answering = new(cluster.Server, coloctl.Namespace, "db");

        Task<ToolResult> asking = coloctl.RunAsync("checkpoint", "db");
        await answering.UntilAskedAsync("checkpoint");
        await answering.RemoveAsync("checkpoint");
        ToolResult result = await asking;

        result.ExitCode.ShouldBe(1);
        result.Error.ShouldContain("was taken up, and the status does not say what came of it");
    }

    [Fact]
    public async Task A_forced_failover_carries_the_UID_and_another_UID_asks_for_nothing()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        string uid = await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        ToolResult halfForced = await coloctl.RunAsync("failover", "db", "--force");
        ToolResult wrong = await coloctl.RunAsync("failover", "db", "--force", "--accept-data-loss", "00000000-0000-0000-0000-000000000000");
        JsonNode untouched = await cluster.AnnotationsAsync(coloctl.Namespace, "db");

        halfForced.ExitCode.ShouldBe(2);
        halfForced.Error.ShouldContain("--force and --accept-data-loss UID belong together");
        wrong.ExitCode.ShouldBe(1);
        wrong.Error.ShouldContain("is not the UID of");
        wrong.Error.ShouldNotContain(uid);
        untouched["colo.dev/failover"].ShouldBeNull();

        Task<ToolResult> asking = coloctl.RunAsync("failover", "db", "--force", "--accept-data-loss", uid);
        JsonObject annotations = await new AnsweringOperator(cluster.Server, coloctl.Namespace, "db").AnswerAsync("failover", "Fulfilled", "node-b is primary");
        (await asking).ExitCode.ShouldBe(0);
        annotations["colo.dev/failover"]!.GetValue<string>().ShouldBe("3");
        annotations["colo.dev/accept-data-loss"]!.GetValue<string>().ShouldBe(uid);
    }

    [Fact]
    public async Task A_failover_that_accepts_no_loss_takes_back_an_acceptance_that_was_left()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        string uid = await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        await cluster.AnnotateAsync(coloctl.Namespace, "db", "colo.dev/accept-data-loss", uid);

        (await coloctl.RunAsync("failover", "db", "--wait=false")).EnsureSuccess();

        JsonNode annotations = await cluster.AnnotationsAsync(coloctl.Namespace, "db");
        annotations["colo.dev/failover"]!.GetValue<string>().ShouldBe("3");
        annotations["colo.dev/accept-data-loss"].ShouldBeNull();
    }

    [Fact]
    public async Task Without_waiting_it_only_asks()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        ToolResult result = await coloctl.RunAsync("switchover", "db", "--wait=false");

        result.ExitCode.ShouldBe(0);
        result.Output.ShouldBe($"switchover of {coloctl.Namespace}/db is asked for\n");
        (await cluster.AnnotationsAsync(coloctl.Namespace, "db"))["colo.dev/switchover"]!.GetValue<string>().ShouldBe("node-b");
    }

    [Fact]
    public async Task A_switchover_without_a_secondary_needs_a_node()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db", new JsonObject { ["currentPrimary"] = "node-a", ["term"] = 1 });

        ToolResult result = await coloctl.RunAsync("switchover", "db");

        result.ExitCode.ShouldBe(1);
        result.Error.ShouldContain("has no secondary to switch to; name a node with --to");
    }

    [Fact]
    public async Task A_volume_that_is_deleted_while_its_request_waits_is_told()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        Task<ToolResult> asking = coloctl.RunAsync("checkpoint", "db");
        await new AnsweringOperator(cluster.Server, coloctl.Namespace, "db").UntilAskedAsync("checkpoint");
        await cluster.Admin.OutputAsync("delete", "rvol", "db", "-n", coloctl.Namespace);
        ToolResult result = await asking;

        result.ExitCode.ShouldBe(1);
        result.Error.ShouldContain("the volume was deleted meanwhile");
    }

    [Fact]
    public async Task A_request_that_another_replaces_is_told()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        Task<ToolResult> asking = coloctl.RunAsync("checkpoint", "db");
        await new AnsweringOperator(cluster.Server, coloctl.Namespace, "db").UntilAskedAsync("checkpoint");
        await cluster.AnnotateAsync(coloctl.Namespace, "db", "colo.dev/checkpoint", "mine");
        ToolResult result = await asking;

        result.ExitCode.ShouldBe(1);
        result.Error.ShouldContain("another checkpoint was asked for meanwhile");
    }
}
