using Colo.Testing;

namespace Colo.KubectlTests;

public sealed class CompletionTests(ColoCluster cluster)
{
    [Fact]
    public async Task Commands_options_and_the_names_of_volumes_are_completed()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        await cluster.CreateVolumeAsync(coloctl.Namespace, "web");

        (await CompleteAsync("sw")).ShouldBe(["switchover"]);
        (await CompleteAsync("failover", "--f")).ShouldBe(["--force"]);
        (await CompleteAsync("switchover", "-n", coloctl.Namespace, "--timeout", "1m", "--kubeconfig", cluster.Server.AdminKubeconfig, "")).ShouldContain("db");
        (await CompleteAsync("status", "-n", coloctl.Namespace, "--timeout", "1m", "--kubeconfig", cluster.Server.AdminKubeconfig, "w")).ShouldBe(["web"]);
    }

    [Fact]
    public async Task Kubectl_completes_the_plugin_through_it()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        string answer = (await coloctl.ByKubectlAsync("__complete", "colo", "checkpoint", "--timeout", "1m", "-n", coloctl.Namespace, "")).EnsureSuccess();

        answer.Split('\n').ShouldContain("db");
    }

    [Theory]
    [InlineData("bash", "bash -n")]
    public async Task The_script_is_one_that_the_shell_takes(string shell, string check)
    {
        using TempDirectory directory = new();
        string script = directory.File("script");
        await File.WriteAllTextAsync(script, (await Tool.RunAsync(Coloctl.Program, "completion", shell)).EnsureSuccess());

        (await Tool.BashAsync($"{check} {script}")).EnsureSuccess();
        string folder = Path.GetDirectoryName(Coloctl.Program)!;
        ToolResult completed = await Tool.BashAsync(
            $"PATH={folder}:$PATH; source {script}; COMP_WORDS=(coloctl local sta); COMP_CWORD=2; _coloctl; echo \"${{COMPREPLY[@]}}\"");
        completed.EnsureSuccess().Trim().ShouldBe("start-agent status");
    }

    private static async Task<string[]> CompleteAsync(params string[] words) =>
        (await Tool.RunAsync(Coloctl.Program, ["__complete", .. words])).EnsureSuccess().Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
