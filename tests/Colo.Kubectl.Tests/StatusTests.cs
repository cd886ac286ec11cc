using System.Text.Json.Nodes;
using Colo.Testing;

namespace Colo.KubectlTests;

public sealed class StatusTests(ColoCluster cluster)
{
    [Fact]
    public async Task Kubectl_finds_the_plugin_and_it_lists_the_volumes_of_the_namespace()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        await cluster.CreateVolumeAsync(coloctl.Namespace, "web", ColoCluster.Protected("node-b", "node-c"));

        string table = (await coloctl.ByKubectlAsync("colo", "status", "-n", coloctl.Namespace)).EnsureSuccess();

        string[] lines = table.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Length.ShouldBe(3);
        lines[0].ShouldStartWith("NAME   PHASE       PRIMARY   SECONDARY   SYNC     CHECKPOINT   SIZE   AGE");
        lines[1].ShouldMatch("^db +Protected +node-a +node-b +InSync +[0-9ms]+ +20Gi +[0-9ms]+");
        lines[2].ShouldMatch("^web +Protected +node-b +node-c ");
    }

    [Fact]
    public async Task Called_by_kubectl_it_speaks_of_itself_as_kubectl_colo()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();

        (await coloctl.ByKubectlAsync("colo", "failover", "--help")).EnsureSuccess().ShouldContain("kubectl colo failover <volume> [options]");
        (await coloctl.RunAsync("failover", "--help")).EnsureSuccess().ShouldContain("coloctl failover <volume> [options]");
        ToolResult wrong = await coloctl.ByKubectlAsync("colo", "bogus");
        wrong.ExitCode.ShouldBe(2);
        wrong.Error.ShouldStartWith("kubectl colo: ");
    }

    [Fact]
    public async Task Options_may_stand_before_the_command_as_well()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        (await coloctl.ByKubectlAsync("colo", "-n", coloctl.Namespace, "status")).EnsureSuccess().ShouldContain("db");
    }

    [Fact]
    public async Task With_all_namespaces_each_line_says_which_one()
    {
        Coloctl here = await cluster.AsAdminAsync();
        Coloctl there = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(here.Namespace, "db");
        await cluster.CreateVolumeAsync(there.Namespace, "db");

        string table = (await here.RunAsync("status", "-A")).EnsureSuccess();

        table.ShouldStartWith("NAMESPACE");
        table.ShouldMatch($"(?m)^{here.Namespace} +db ");
        table.ShouldMatch($"(?m)^{there.Namespace} +db ");
    }

    [Fact]
    public async Task Wide_shows_the_UID_and_the_reason_too()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        string uid = await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        string table = (await coloctl.RunAsync("status", "-o", "wide")).EnsureSuccess();

        table.ShouldContain(uid);
        table.ShouldContain("node-b is in sync");
    }

    [Fact]
    public async Task One_volume_is_shown_in_sections_with_its_events()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        JsonObject status = ColoCluster.Protected();
        status["resync"] = new JsonObject { ["percent"] = 42.5, ["bytesRemaining"] = "120Mi" };
        status["lastRequest"] = new JsonObject { ["verb"] = "switchover", ["outcome"] = "Refused", ["message"] = "node-z is no node", ["time"] = "2024-05-01T12:00:00Z" };
        status["conditions"] = new JsonArray(new JsonObject
        {
            ["type"] = "Ready",
            ["status"] = "True",
            ["reason"] = "PrimaryServes",
            ["message"] = "node-a serves",
            ["lastTransitionTime"] = "2024-05-01T12:00:00Z",
        });
        string uid = await cluster.CreateVolumeAsync(coloctl.Namespace, "db", status);
        await cluster.AddEventAsync(coloctl.Namespace, "db", uid, "SwitchedOver", "node-a is primary", TimeSpan.FromMinutes(3), count: 2);
        await cluster.AddEventAsync(coloctl.Namespace, "db", "another-uid", "Provisioned", "of an earlier volume of that name", TimeSpan.FromMinutes(9));

        string text = (await coloctl.RunAsync("status", "db")).EnsureSuccess();
        string wide = (await coloctl.RunAsync("status", "db", "-o", "wide")).EnsureSuccess();

        text.ShouldContain($"{coloctl.Namespace}/db");
        text.ShouldContain(uid);
        text.ShouldMatch("node-b +Secondary +Running +yes +yes +3");
        text.ShouldContain("42.5 %  120 MiB left");
        text.ShouldContain("switchover refused: node-z is no node");
        text.ShouldContain("/run/colo/sockets/db.sock");
        text.ShouldMatch("3m[0-9]+s ago +SwitchedOver +node-a is primary \\(x2\\)");
        text.ShouldNotContain("earlier volume");
        text.ShouldNotContain("PrimaryServes");
        wide.ShouldContain("PrimaryServes");
    }

    [Fact]
    public async Task Json_of_one_volume_is_the_object_and_of_several_a_List_that_kubectl_takes()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        string uid = await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        JsonNode one = JsonNode.Parse((await coloctl.RunAsync("status", "db", "-o", "json")).EnsureSuccess())!;
        string all = (await coloctl.RunAsync("status", "-o", "json")).EnsureSuccess();

        one["kind"]!.GetValue<string>().ShouldBe("ReplicatedVolume");
        one["metadata"]!["uid"]!.GetValue<string>().ShouldBe(uid);
        one["metadata"]!["managedFields"].ShouldBeNull();
        one["status"]!["currentPrimary"]!.GetValue<string>().ShouldBe("node-a");
        JsonNode list = JsonNode.Parse(all)!;
        list["kind"]!.GetValue<string>().ShouldBe("List");
        list["items"]!.AsArray().Single()!["metadata"]!["name"]!.GetValue<string>().ShouldBe("db");
        (await cluster.Admin.RunWithInputAsync(all, ["apply", "--dry-run=server", "-f", "-"])).EnsureSuccess().ShouldContain("db");
    }

    [Fact]
    public async Task Yaml_is_a_manifest_that_can_be_applied()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        string yaml = (await coloctl.RunAsync("status", "db", "-o", "yaml")).EnsureSuccess();

        (await cluster.Admin.RunWithInputAsync(yaml, ["apply", "--dry-run=server", "-f", "-"])).EnsureSuccess().ShouldContain("db");
    }

    [Fact]
    public async Task An_empty_namespace_is_said_to_be_empty()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();

        ToolResult result = await coloctl.RunAsync("status");

        result.ExitCode.ShouldBe(0);
        result.Output.ShouldBeEmpty();
        result.Error.ShouldContain($"no volumes in namespace '{coloctl.Namespace}'");
        JsonNode.Parse((await coloctl.RunAsync("status", "-o", "json")).EnsureSuccess())!["items"]!.AsArray().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_volume_without_a_status_is_Pending()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db", []);

        (await coloctl.RunAsync("status")).EnsureSuccess().ShouldMatch("(?m)^db +Pending +None +- +20Gi");
        (await coloctl.RunAsync("status", "db")).EnsureSuccess().ShouldContain("no primary serves");
    }

    [Fact]
    public async Task Watch_for_programs_gives_a_document_for_each_change_and_ends_at_SIGINT()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        await using RunningTool watching = coloctl.Start([], "status", "db", "-o", "json", "--watch");
        await Eventually.TrueAsync(() => watching.Output.Contains("\"term\": 3", StringComparison.Ordinal), "the volume is shown");

        await ColoCluster.PatchStatusAsync(cluster.Server, coloctl.Namespace, "db", ColoCluster.Protected("node-b", "node-a", term: 4));

        await Eventually.TrueAsync(() => watching.Output.Contains("\"term\": 4", StringComparison.Ordinal), "the change is shown");
        (await Tool.RunAsync("kill", "-INT", $"{watching.Pid}")).EnsureSuccess();
        (await watching.WaitAsync()).ExitCode.ShouldBe(0);
    }
}
