using Colo.Testing;

namespace Colo.KubectlTests;

/// <summary>Each thing that can be wrong is one sentence, and an exit code.</summary>
public sealed class FaultTests(ColoCluster cluster)
{
    [Fact]
    public async Task A_name_that_is_not_there_is_answered_with_those_that_are()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        await cluster.CreateVolumeAsync(coloctl.Namespace, "web");

        foreach (string[] command in (string[][])[["status", "bd"], ["checkpoint", "bd"], ["events", "bd"]])
        {
            ShouldBe(await coloctl.RunAsync(command), 2, $"coloctl: no volume 'bd' in namespace '{coloctl.Namespace}'; there are: db, web");
        }
    }

    [Fact]
    public async Task A_volume_of_another_namespace_is_pointed_at()
    {
        Coloctl here = await cluster.AsAdminAsync();
        Coloctl there = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(there.Namespace, "only-there");

        ShouldBe(await here.RunAsync("switchover", "only-there"), 2,
            $"coloctl: no volume 'only-there' in namespace '{here.Namespace}'; there is one in namespace {there.Namespace} (-n {there.Namespace})");
        (await here.RunAsync("status", "only-there", "-A")).EnsureSuccess().ShouldContain($"{there.Namespace}/only-there");
    }

    [Fact]
    public async Task A_name_in_several_namespaces_is_not_guessed_at()
    {
        Coloctl here = await cluster.AsAdminAsync();
        Coloctl one = await cluster.AsAdminAsync();
        Coloctl two = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(one.Namespace, "twice");
        await cluster.CreateVolumeAsync(two.Namespace, "twice");
        string names = string.Join(", ", new[] { one.Namespace, two.Namespace }.Order(StringComparer.Ordinal));

        ShouldBe(await here.RunAsync("status", "twice", "-A"), 2, $"coloctl: there are volumes named 'twice' in the namespaces {names}: choose one with -n");
        ShouldBe(await here.RunAsync("checkpoint", "twice"), 2,
            $"coloctl: no volume 'twice' in namespace '{here.Namespace}'; there are such in the namespaces {names}: choose one with -n");
        (await here.RunAsync("status", "-A", "-n", "x")).Error.ShouldContain("exclude each other");
    }

    [Fact]
    public async Task Who_may_nothing_is_told_what_is_forbidden()
    {
        string @namespace = await cluster.NewNamespaceAsync();
        Coloctl nobody = new(await cluster.Server.KubeconfigForUserAsync("nobody-in-particular"), @namespace);

        ShouldBe(await nobody.RunAsync("status"), 1,
            $"coloctl: no access: User \"nobody-in-particular\" cannot list resource \"replicatedvolumes\" in API group \"colo.dev\" in the namespace \"{@namespace}\"");
        ShouldBe(await nobody.RunAsync("status", "-A"), 1,
            "coloctl: no access: User \"nobody-in-particular\" cannot list resource \"replicatedvolumes\" in API group \"colo.dev\" at the cluster scope");
        ShouldBe(await nobody.RunAsync("checkpoint", "db"), 1,
            $"coloctl: no access: User \"nobody-in-particular\" cannot get resource \"replicatedvolumes\" in API group \"colo.dev\" in the namespace \"{@namespace}\"");
        ShouldBe(await nobody.RunAsync("events"), 1,
            $"coloctl: no access: User \"nobody-in-particular\" cannot list resource \"events\" in API group \"\" in the namespace \"{@namespace}\"");
    }

    [Fact]
    public async Task Who_may_only_read_sees_the_volume_and_is_told_that_patching_it_is_forbidden()
    {
        string @namespace = await cluster.NewNamespaceAsync();
        await cluster.CreateVolumeAsync(@namespace, "db");
        Coloctl reader = await cluster.UserAsync("reader", @namespace, "[{apiGroups: [colo.dev], resources: [replicatedvolumes], verbs: [get, list, watch]}]");

        (await reader.RunAsync("status")).EnsureSuccess().ShouldContain("db");
        (await reader.RunAsync("status", "db")).EnsureSuccess().ShouldContain("Events are not shown: no access");
        ShouldBe(await reader.RunAsync("checkpoint", "db"), 1,
            $"coloctl: no access: User \"reader\" cannot patch resource \"replicatedvolumes\" in API group \"colo.dev\" in the namespace \"{@namespace}\"");
        ShouldBe(await reader.RunAsync("status", "bd"), 2, $"coloctl: no volume 'bd' in namespace '{@namespace}'; there are: db");
    }

    [Theory]
    [InlineData("editor", "get, list, watch, patch")]
    [InlineData("editor-without-watch", "get, patch")]
    public async Task Who_may_edit_volumes_may_ask_though_they_see_no_Leases(string user, string verbs)
    {
        string @namespace = await cluster.NewNamespaceAsync();
        await cluster.CreateVolumeAsync(@namespace, "db");
        Coloctl editor = await cluster.UserAsync(user, @namespace, $"[{{apiGroups: [colo.dev], resources: [replicatedvolumes], verbs: [{verbs}]}}]");

        Task<ToolResult> asking = editor.RunAsync("checkpoint", "db");
        await new AnsweringOperator(cluster.Server, @namespace, "db").AnswerAsync("checkpoint", "Fulfilled", "checkpoint 13");
        (await asking).ExitCode.ShouldBe(0);

        ToolResult unanswered = await editor.RunAsync("checkpoint", "db", "--timeout", "1s");
        unanswered.ExitCode.ShouldBe(3);
        unanswered.Error.ShouldContain("whether an operator runs cannot be told: no access to Leases");
    }

    [Fact]
    public async Task A_cluster_that_nobody_answers_for_is_named()
    {
        using TempDirectory directory = new();
        string text = await File.ReadAllTextAsync(cluster.Server.AdminKubeconfig);
        string dead = directory.File("dead");
        await File.WriteAllTextAsync(dead, text.Replace(cluster.Server.Address.GetLeftPart(UriPartial.Authority), "https://127.0.0.1:1", StringComparison.Ordinal));

        ShouldBe(await new Coloctl(dead, "default").RunAsync("status"), 4,
            "coloctl: the cluster at https://127.0.0.1:1 (context 'test') cannot be reached: Connection refused");
    }

    [Fact]
    public async Task Credentials_and_kubeconfigs_that_are_wrong_are_named()
    {
        using TempDirectory directory = new();
        string text = await File.ReadAllTextAsync(cluster.Server.AdminKubeconfig);
        string stranger = directory.File("stranger");
        await File.WriteAllTextAsync(stranger, System.Text.RegularExpressions.Regex.Replace(
            text, "user: \\{ client.*\\}", "user: {token: wrong} }", System.Text.RegularExpressions.RegexOptions.None, TimeSpan.FromSeconds(1)).Replace("} } }]\ncontexts", "} }]\ncontexts", StringComparison.Ordinal));
        string garbage = directory.File("garbage");
        await File.WriteAllTextAsync(garbage, "{{{ nonsense");

        ToolResult unknown = await new Coloctl(stranger, "default").RunAsync("status");
        ShouldBe(unknown, 1, $"coloctl: the cluster at {cluster.Server.Address.GetLeftPart(UriPartial.Authority)} (context 'test') does not accept the credentials of context 'test'");
        ShouldBe(await new Coloctl(directory.File("none"), "default").RunAsync("status"), 2, $"coloctl: the kubeconfig cannot be used: there is no {directory.File("none")}");
        ShouldBe(await new Coloctl(garbage, "default").RunAsync("status"), 2, "coloctl: the kubeconfig cannot be used: ");
        ShouldBe(await new Coloctl(cluster.Server.AdminKubeconfig, "default").RunAsync("status", "--context", "nowhere"), 2, "coloctl: the kubeconfig cannot be used: ");
    }

    [Fact]
    public async Task Several_files_of_KUBECONFIG_are_one_and_the_context_chooses()
    {
        using TempDirectory directory = new();
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        string text = await File.ReadAllTextAsync(cluster.Server.AdminKubeconfig);
        string other = directory.File("other");
        await File.WriteAllTextAsync(other, text.Replace("name: test,", "name: other,", StringComparison.Ordinal)
            .Replace("cluster: test, user: test, namespace: default", $"cluster: other, user: other, namespace: {coloctl.Namespace}", StringComparison.Ordinal));

        await using RunningTool tool = RunningTool.Start(Coloctl.Program, ["status", "--context", "other"], new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["KUBECONFIG"] = $"{cluster.Server.AdminKubeconfig}:{directory.File("absent")}:{other}",
        });

        (await tool.WaitAsync()).EnsureSuccess().ShouldContain("db");
    }

    private static void ShouldBe(ToolResult result, int code, string beginning)
    {
        result.Error.ShouldStartWith(beginning);
        result.Error.TrimEnd('\n').ShouldNotContain("\n", Case.Sensitive, "it is one sentence");
        result.Output.ShouldBeEmpty();
        result.ExitCode.ShouldBe(code);
    }
}
