using Colo.AgentApi;
using Colo.Testing;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>A QEMU that is not root opens its disk by the socket's group; nobody else does. Needs root, to become others.</summary>
public sealed class GuestSocketTests : IDisposable
{
    /// <summary>qemu in the images of KubeVirt, and of many distributions.</summary>
    private const int Qemu = 107;
    private const int Stranger = 4321;

    // Not on a private path: the others must be able to walk to the socket.
    private readonly string root = Directory.CreateDirectory($"/tmp/colo-{Guid.NewGuid():N}"[..16]).FullName;

    [Fact]
    public async Task The_sockets_group_may_open_the_disk_and_no_other_user()
    {
        await using AgentUnderTest a = await AgentUnderTest.StartAsync("a", root, Path.Combine(root, "arb"), "--guest-socket-group", $"{Qemu}");
        await PrepareAsync(a);
        (await OpenAsAsync(Qemu, a)).EnsureSuccess().ShouldContain("file format: raw");
        ToolResult stranger = await OpenAsAsync(Stranger, a);
        stranger.ExitCode.ShouldNotBe(0);
        stranger.Error.ShouldContain("Permission denied");
        (await Tool.RunAsync("stat", "-c", "%a %g", Socket(a))).EnsureSuccess().Trim().ShouldBe($"660 {Qemu}");
    }

    [Fact]
    public async Task By_default_only_root_may_and_a_mode_widens_it_as_it_says()
    {
        await using AgentUnderTest a = await AgentUnderTest.StartAsync("a", root, Path.Combine(root, "arb"));
        await PrepareAsync(a);
        (await OpenAsAsync(Qemu, a)).Error.ShouldContain("Permission denied");

        await using AgentUnderTest b = await AgentUnderTest.StartAsync("b", root, Path.Combine(root, "arb-b"), "--guest-socket-mode", "0666");
        await PrepareAsync(b);
        (await OpenAsAsync(Stranger, b)).EnsureSuccess();
    }

    [Fact]
    public async Task Membership_of_the_group_is_enough_where_every_capability_is_dropped()
    {
        await using AgentUnderTest a = await AgentUnderTest.StartUnderAsync(
            ["setpriv", "--inh-caps=-all", "--bounding-set=-all", $"--groups={Qemu}"],
            "a", root, Path.Combine(root, "arb"), "--guest-socket-group", $"{Qemu}");
        await PrepareAsync(a);
        (await OpenAsAsync(Qemu, a)).EnsureSuccess();
    }

    public void Dispose() => Directory.Delete(root, recursive: true);

    private static string Socket(AgentUnderTest agent) => agent.GuestUri("v").Split("socket=")[1];

    private static Task<ToolResult> OpenAsAsync(int user, AgentUnderTest agent) => Tool.RunAsync(
        "setpriv", $"--reuid={user}", $"--regid={user}", "--clear-groups", "qemu-img", "info", agent.GuestUri("v"));

    private static async Task PrepareAsync(AgentUnderTest agent)
    {
        new VolumeRecordFile(agent.ArbiterDirectory, "v").TryCreate(new("v", 1, agent.Node, "", SecondaryState.None)).Done.ShouldBeTrue();
        await agent.Client.PrepareAsync(Request("v", 1, Role.Primary));
    }
}
