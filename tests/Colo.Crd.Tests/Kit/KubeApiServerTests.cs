using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Crd.Tests.Kit;

/// <summary>The test kit's own promises, on which every test against Kubernetes stands.</summary>
public sealed class KubeApiServerTests(CrdFixture crd)
{
    private readonly KubeApiServerFixture kube = crd.Kube;

    [Fact]
    public async Task The_server_is_a_real_one_and_kubectl_speaks_to_it() =>
        (await kube.Admin.JsonAsync("version"))["serverVersion"]!["gitVersion"]!.GetValue<string>().ShouldStartWith("v1.");

    [Fact]
    public async Task A_user_may_do_what_RBAC_grants_and_no_more()
    {
        string space = await kube.NewNamespaceAsync();
        Kubectl reader = kube.Server.KubectlFor(await kube.Server.KubeconfigForUserAsync("reader", "readers"));
        ToolResult refused = await reader.RunAsync("get", "configmaps", "-n", space);
        refused.ExitCode.ShouldNotBe(0);
        refused.Error.ShouldContain("User \"reader\" cannot list resource \"configmaps\"");

        await kube.Admin.OutputAsync("create", "role", "readers", "--verb=list", "--resource=configmaps", "-n", space);
        await kube.Admin.OutputAsync("create", "rolebinding", "readers", "--role=readers", "--group=readers", "-n", space);
        await Eventually.TrueAsync(async () => (await reader.RunAsync("get", "configmaps", "-n", space)).ExitCode == 0, "the binding takes effect");
    }

    [Fact]
    public async Task A_service_account_is_known_by_its_token()
    {
        string space = await kube.NewNamespaceAsync();
        await Should.ThrowAsync<HttpRequestException>(() => kube.Server.KubeconfigForServiceAccountAsync(space, "agent"));
        await kube.Admin.OutputAsync("create", "serviceaccount", "agent", "-n", space);
        Kubectl agent = kube.Server.KubectlFor(await kube.Server.KubeconfigForServiceAccountAsync(space, "agent"));
        (await agent.RunAsync("get", "nodes")).Error.ShouldContain($"User \"system:serviceaccount:{space}:agent\" cannot list resource \"nodes\"");
    }

    [Fact]
    public async Task Stopped_and_started_again_it_has_its_data_and_its_address()
    {
        await using KubeApiServer own = await KubeApiServer.StartAsync();
        Uri address = own.Address;
        await own.Admin.OutputAsync("create", "configmap", "kept", "--from-literal=a=b");
        await own.StopAsync();
        (await own.Admin.RunAsync("get", "configmap", "kept")).ExitCode.ShouldNotBe(0);
        await own.StartAgainAsync();
        own.Address.ShouldBe(address);
        (await own.Admin.OutputAsync("get", "configmap", "kept", "-o", "jsonpath={.data.a}")).Trim().ShouldBe("b");
    }

    [Fact]
    public async Task A_frozen_server_answers_nothing_until_it_thaws()
    {
        await using KubeApiServer own = await KubeApiServer.StartAsync();
        await own.FreezeAsync();
        (await own.Admin.RunAsync("get", "namespaces", "--request-timeout=2s")).ExitCode.ShouldNotBe(0);
        await own.ThawAsync();
        await Eventually.TrueAsync(async () => (await own.Admin.RunAsync("get", "namespaces")).ExitCode == 0, "an answer");
    }

    [Fact]
    public async Task A_list_that_goes_on_after_compaction_is_told_that_its_place_is_gone()
    {
        string space = await kube.NewNamespaceAsync();
        foreach (string name in (string[])["a", "b"])
        {
            await kube.Admin.OutputAsync("create", "configmap", name, "-n", space);
        }

        string first = await kube.Admin.OutputAsync("get", "--raw", $"/api/v1/namespaces/{space}/configmaps?limit=1");
        string place = System.Text.Json.Nodes.JsonNode.Parse(first)!["metadata"]!["continue"]!.GetValue<string>();
        await kube.Admin.OutputAsync("create", "configmap", "c", "-n", space);
        await kube.Server.CompactAsync();
        ToolResult gone = await kube.Admin.RunAsync("get", "--raw", $"/api/v1/namespaces/{space}/configmaps?limit=1&continue={Uri.EscapeDataString(place)}");
        gone.ExitCode.ShouldNotBe(0);
        gone.Error.ShouldContain("too old");
    }
}
