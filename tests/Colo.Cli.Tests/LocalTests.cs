using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Api.Yaml;
using Colo.Testing;

namespace Colo.Cli.Tests;

/// <summary>Real agents, a real control loop, and clients that nobody here wrote.</summary>
public sealed class LocalTests
{
    [Fact]
    public async Task A_dead_primary_is_followed_within_the_heartbeat_timeout_and_taken_in_again_when_it_returns()
    {
        await using LocalInstallation local = new();
        await local.UpAsync();
        await local.WriteAsync(0x5a, "1M", "8M");

        (await local.LocalAsync("stop-agent", "node-a", "--kill")).EnsureSuccess();
        await local.WaitAsync("--serving", "--primary", "node-b");

        (await local.StatusAsync("term")).ShouldBe("2");
        await local.ShouldReadAsync(0x5a, "1M", "8M");
        await local.WriteAsync(0x77, "16M", "1M");
        (await local.LocalAsync("start-agent", "node-a")).EnsureSuccess();
        await local.WaitAsync("--for", "Protected", "--primary", "node-b");
        (await local.LocalAsync("checkpoint")).EnsureSuccess();
        await ReplicasShouldBeEqualAsync(local);
    }

    [Fact]
    public async Task A_switchover_changes_the_roles_and_loses_nothing_and_the_address_stays()
    {
        await using LocalInstallation local = new();
        await local.UpAsync();
        string address = await local.GuestUriAsync();
        await local.WriteAsync(0x21, "0", "4M");

        (await local.LocalAsync("switchover")).EnsureSuccess();

        (await local.StatusAsync("currentPrimary")).ShouldBe("node-b");
        (await local.GuestUriAsync()).ShouldBe(address);
        await local.ShouldReadAsync(0x21, "0", "4M");
        await local.WaitAsync("--for", "Protected", "--primary", "node-b");
    }

    [Fact]
    public async Task A_frozen_primary_is_followed_and_does_no_harm_when_it_wakes()
    {
        await using LocalInstallation local = new();
        await local.UpAsync();
        await local.WriteAsync(0x11, "0", "1M");

        await local.SignalAgentAsync("node-a", "STOP");
        await local.WaitAsync("--serving", "--primary", "node-b");
        await local.WriteAsync(0x22, "0", "1M");
        await local.SignalAgentAsync("node-a", "CONT");

        await local.WaitAsync("--for", "Protected", "--primary", "node-b");
        await local.ShouldReadAsync(0x22, "0", "1M");
        (await local.LocalAsync("checkpoint")).EnsureSuccess();
        await ReplicasShouldBeEqualAsync(local);
    }

    [Fact]
    public async Task A_killed_control_loop_stops_no_guest_and_the_next_one_takes_over_where_it_was()
    {
        await using LocalInstallation local = new();
        await local.UpAsync();
        string uri = await local.GuestUriAsync();
        await local.SignalLoopAsync("KILL");

        await LocalInstallation.WriteToAsync(uri, 0x55, "0", "1M");
        ToolResult blind = await local.LocalAsync("status");
        blind.ExitCode.ShouldBe(4);
        blind.Error.ShouldContain("control loop does not run");
        (await local.LocalAsync("stop-agent", "node-a", "--kill")).EnsureSuccess();
        (await local.LocalAsync("up", "--timeout", "0s")).ExitCode.ShouldBeOneOf(0, 3);

        await local.WaitAsync("--for", "Protected");
        await local.ShouldReadAsync(0x55, "0", "1M");
    }

    [Fact]
    public async Task With_restart_agents_a_dead_agent_is_started_again_and_the_volume_is_protected_by_itself()
    {
        await using LocalInstallation local = new();
        await local.UpAsync("", "--restart-agents");
        await local.WriteAsync(0x3c, "0", "1M");

        string before = local.AgentPid("node-a");
        await local.SignalAgentAsync("node-a", "KILL");

        await Eventually.TrueAsync(() => local.AgentPid("node-a") != before, "a new agent was started");
        await local.WaitAsync("--for", "Protected");
        await local.ShouldReadAsync(0x3c, "0", "1M");
    }

    [Fact]
    public async Task With_a_manual_policy_nothing_is_promoted_until_a_person_asks()
    {
        await using LocalInstallation local = new();
        await local.UpAsync("  failover: {policy: Manual, heartbeatTimeout: 500ms}");
        await local.WriteAsync(0x33, "0", "1M");

        (await local.LocalAsync("stop-agent", "node-a", "--kill")).EnsureSuccess();
        await local.WaitAsync("--for", "Faulted");
        (await local.StatusAsync("message")).ShouldContain("Manual");
        (await local.StatusAsync("term")).ShouldBe("1");
        (await local.LocalAsync("failover")).EnsureSuccess();

        (await local.StatusAsync("currentPrimary")).ShouldBe("node-b");
        await local.ShouldReadAsync(0x33, "0", "1M");
    }

    [Fact]
    public async Task A_stale_secondary_is_not_promoted_unless_forced_with_the_right_UID()
    {
        await using LocalInstallation local = new();
        await local.UpAsync();
        (await local.LocalAsync("stop-agent", "node-b", "--kill")).EnsureSuccess();
        await local.WriteAsync(0x44, "0", "1M");
        await Eventually.TrueAsync(async () => await local.StatusAsync("secondaryState") == "Stale", "the record says Stale");
        (await local.LocalAsync("stop-agent", "node-a", "--kill")).EnsureSuccess();
        (await local.LocalAsync("start-agent", "node-b")).EnsureSuccess();
        await local.WaitAsync("--for", "Faulted");

        ToolResult refused = await local.LocalAsync("failover");
        ToolResult wrongUid = await local.LocalAsync("failover", "--force", "--uid", "another", "--accept-data-loss");

        refused.ExitCode.ShouldBe(1);
        refused.Error.ShouldContain("Stale");
        wrongUid.ExitCode.ShouldBe(1);
        wrongUid.Error.ShouldContain("not this volume's UID");
        (await local.StatusAsync("term")).ShouldBe("1");

        string uid = (await local.VolumeAsync())["metadata"]!["uid"]!.ToString();
        (await local.LocalAsync("failover", "--force", "--uid", uid, "--accept-data-loss")).EnsureSuccess();
        (await local.StatusAsync("currentPrimary")).ShouldBe("node-b");
        await local.ShouldReadAsync(0x00, "0", "1M");
    }

    [Fact]
    public async Task After_down_with_kept_data_up_brings_the_same_disk_back()
    {
        await using LocalInstallation local = new();
        await local.UpAsync();
        await local.WriteAsync(0x66, "3M", "2M");
        string uid = (await local.VolumeAsync())["metadata"]!["uid"]!.ToString();

        (await local.LocalAsync("down", "--keep-data")).EnsureSuccess();
        (await local.LocalAsync("status")).ExitCode.ShouldBe(4);
        (await local.LocalAsync("up")).EnsureSuccess();

        (await local.VolumeAsync())["metadata"]!["uid"]!.ToString().ShouldBe(uid);
        await local.ShouldReadAsync(0x66, "3M", "2M");
    }

    [Fact]
    public async Task Two_volumes_of_one_file_live_side_by_side_and_down_leaves_nothing()
    {
        LocalInstallation local = new();
        await using (local)
        {
            await local.UpAsync("""
                  failover: {heartbeatTimeout: 1s}
                ---
                apiVersion: colo.dev/v1alpha1
                kind: ReplicatedVolume
                metadata: {name: logs}
                spec: {size: 32Mi, buffer: {medium: Disk, sizeLimit: 16Mi}, placement: {primaryNode: node-b}}
                """);

            string yaml = (await local.LocalAsync("status", "-o", "yaml")).EnsureSuccess();
            IReadOnlyList<ReplicatedVolume> volumes = VolumeManifest.Parse(yaml);

            volumes.Select(v => v.Metadata.Name).ShouldBe(["disk", "logs"], ignoreOrder: true);
            ToolResult unnamed = await local.LocalAsync("checkpoint");
            unnamed.ExitCode.ShouldBe(1);
            unnamed.Error.ShouldContain("which volume?");
            (await local.LocalAsync("checkpoint", "logs")).EnsureSuccess();
        }

        Directory.Exists(local.State).ShouldBeFalse();
    }

    [Fact]
    public async Task On_a_terminal_the_status_is_coloured_and_watching_it_redraws_in_place_until_CtrlC()
    {
        await using LocalInstallation local = new();
        await local.UpAsync();

        (await local.LocalAsync("status")).EnsureSuccess().ShouldNotContain("\e");
        (await Pty.RunAsync(local.CommandLine("status"))).EnsureSuccess().ShouldContain("\e[1;38;5;2mProtected");
        (await Pty.RunAsync(local.CommandLine("status"), new Dictionary<string, string>(StringComparer.Ordinal) { ["NO_COLOR"] = "1" }))
            .EnsureSuccess().ShouldNotContain("38;5;");

        await using RunningTool terminal = Pty.Start(local.CommandLine("status --watch"));
        await Eventually.TrueAsync(() => terminal.Output.Contains("Protected", StringComparison.Ordinal), "the volume is drawn");
        (await local.LocalAsync("stop-agent", "node-b")).EnsureSuccess();
        await Eventually.TrueAsync(() => terminal.Output.Contains("Unreachable", StringComparison.Ordinal), "the change is drawn");
        await Pty.PressCtrlCAsync(terminal);
        ToolResult ended = await terminal.WaitAsync();

        ended.ExitCode.ShouldBe(0, ended.Output + ended.Error);
        ended.Output.ShouldContain("\e[?1049h");
        ended.Output[ended.Output.LastIndexOf("\e[?1049l", StringComparison.Ordinal)..].ShouldContain("Unreachable");
    }

    private static async Task ReplicasShouldBeEqualAsync(LocalInstallation local)
    {
        JsonNode endpoint = (await local.VolumeAsync())["status"]!["endpoint"]!;
        ToolResult compare = await Tool.RunAsync(
            "qemu-img", "compare", "-f", "raw", "-F", "raw", endpoint["uri"]!.ToString(), endpoint["secondaryUri"]!.ToString());
        compare.ExitCode.ShouldBe(0, compare.Output + compare.Error);
    }
}
