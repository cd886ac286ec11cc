using System.Net;
using Colo.AgentApi;
using Colo.Testing;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Reflection.V1Alpha;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>What surrounds the calls: health, reflection, metrics, Watch, logs, shutdown.</summary>
public class SurfaceTests(PairFixture fixture) : IClassFixture<PairFixture>
{
    private AgentPair Pair => fixture.Pair;

    private AgentUnderTest A => fixture.Pair.A;

    [Fact]
    public async Task Health_says_SERVING_when_the_pools_take_writes()
    {
        Health.HealthClient health = new(A.Channel);
        await Eventually.TrueAsync(
            async () => (await health.CheckAsync(new HealthCheckRequest())).Status == HealthCheckResponse.Types.ServingStatus.Serving,
            "grpc.health.v1 serves");
        using HttpClient http = new();
        (await http.GetAsync($"http://{A.MetricsAddress}/readyz")).StatusCode.ShouldBe(HttpStatusCode.OK);
        NodeStatus node = (await A.Client.StatusAsync(new StatusRequest())).Node;
        node.Node.ShouldBe("a");
        PoolStatus pool = node.Pools.ShouldHaveSingleItem();
        pool.Healthy.ShouldBeTrue();
        pool.FreeBytes.ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task Reflection_lists_the_service()
    {
        using AsyncDuplexStreamingCall<ServerReflectionRequest, ServerReflectionResponse> call =
            new ServerReflection.ServerReflectionClient(A.Channel).ServerReflectionInfo();
        await call.RequestStream.WriteAsync(new ServerReflectionRequest { ListServices = "" });
        (await call.ResponseStream.MoveNext(CancellationToken.None)).ShouldBeTrue();
        call.ResponseStream.Current.ListServicesResponse.Service.Select(s => s.Name)
            .ShouldBe(["colo.agent.v1.Agent", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"],
                ignoreOrder: true);
    }

    [Fact]
    public async Task Metrics_carry_the_names_and_labels_of_the_design_and_go_with_the_volume()
    {
        string uid = await Pair.CreateAsync("metrics");
        await Guest.WriteAsync(A.GuestUri(uid), 1, "0", "64k");
        await A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        string labels = "volume=\"metrics\",namespace=\"test\",node=\"a\"";
        string text = await ScrapeAsync();
        foreach (string expected in new[]
        {
            $"colo_volume_in_sync{{{labels}}} 1",
            $"colo_volume_connected{{{labels}}} 1",
            $"colo_volume_primary{{{labels}}} 1",
            $"colo_volume_term{{{labels}}} 1",
            $"colo_volume_suspended{{{labels}}} 0",
            $"colo_volume_bytes_out_of_sync{{{labels}}} 0",
            $"colo_io_bytes_total{{{labels},op=\"write\"}} 65536",
            $"colo_io_latency_seconds_count{{{labels},op=\"write\"}}",
            $"colo_checkpoint_total{{{labels}}}",
            $"colo_checkpoint_pause_seconds_count{{{labels}}} ",
            $"colo_replication_forward_latency_seconds_count{{{labels}}} 1",
            "colo_pool_healthy{node=\"a\",pool=\"default\"} 1",
            $"colo_checkpoint_age_seconds{{{labels}}}",
            $"colo_buffer_limit_bytes{{{labels}}}",
            $"colo_resync_ratio{{{labels}}} 1",
        })
        {
            text.ShouldContain(expected);
        }

        await A.Client.DeleteAsync(new DeleteRequest { Volume = Ref(uid, 1) });
        (await ScrapeAsync()).ShouldNotContain(labels);
    }

    [Fact]
    public async Task The_metrics_listener_does_not_steer_volumes()
    {
        using Grpc.Net.Client.GrpcChannel channel = Grpc.Net.Client.GrpcChannel.ForAddress($"http://{A.MetricsAddress}");
        await Should.ThrowAsync<RpcException>(
            async () => await new AgentApi.Agent.AgentClient(channel).StatusAsync(new StatusRequest(), deadline: DateTime.UtcNow.AddSeconds(20)));
    }

    [Fact]
    public async Task Watch_gives_the_present_state_then_changes_and_the_end()
    {
        string uid = await Pair.CreateAsync("watch");
        using AsyncServerStreamingCall<WatchEvent> watch = A.Client.Watch(new WatchRequest { Uid = uid });
        (await NextStatusAsync(watch)).State.ShouldBe(ReplicaState.Running);
        await A.Client.DetachSecondaryAsync(new DetachSecondaryRequest { Volume = Ref(uid, 1) });
        await UntilAsync(watch, change => change.Status?.State == ReplicaState.Alone);
        await A.Client.DeleteAsync(new DeleteRequest { Volume = Ref(uid, 1) });
        await UntilAsync(watch, change => change.RemovedUid == uid);
    }

    [Fact]
    public async Task Watch_begins_with_the_node_and_says_again_and_again_that_it_lives_and_its_pools_do()
    {
        using AsyncServerStreamingCall<WatchEvent> watch = A.Client.Watch(new WatchRequest());
        NodeStatus first = (await NextAsync(watch)).Node.ShouldNotBeNull();
        first.Node.ShouldBe("a");
        first.ApiLevel.ShouldBe(AgentApiLevel.Current);
        for (int beats = 0; beats < 3;)
        {
            if ((await NextAsync(watch)).Node is { } beat)
            {
                beats++;
                beat.Instance.ShouldBe(first.Instance);
                beat.Pools.ShouldHaveSingleItem().Name.ShouldBe("default");
            }
        }

        string uid = await Pair.CreateAsync("beating");
        await UntilAsync(watch, e => e.Node?.Pools[0] is { Healthy: true } pool && pool.ProvisionedBytes >= SizeBytes);
        await A.Client.DeleteAsync(new DeleteRequest { Volume = Ref(uid, 1) });
    }

    [Fact]
    public async Task An_agent_process_watches_no_files_because_a_pool_below_its_directory_would_wake_it_at_each_write()
    {
        // The host's habit of reloading appsettings.json watched everything below the content root: a guest's write then cost a wakeup.
        List<string> watches = [];
        foreach (string fd in Directory.EnumerateFiles($"/proc/{A.Pid}/fdinfo"))
        {
            try
            {
                watches.AddRange((await File.ReadAllLinesAsync(fd)).Where(line => line.StartsWith("inotify wd:", StringComparison.Ordinal)));
            }
            catch (IOException)
            {
                // Closed since it was listed: it is no watch that stays.
            }
        }

        Directory.Exists($"/proc/{A.Pid}/fdinfo").ShouldBeTrue();
        watches.ShouldBeEmpty();
    }

    [Fact]
    public async Task Watch_shows_what_no_call_caused()
    {
        string uid = await Pair.CreateAsync("watch-loss");
        using AsyncServerStreamingCall<WatchEvent> watch = A.Client.Watch(new WatchRequest { Uid = uid });
        (await NextStatusAsync(watch)).Connected.ShouldBeTrue();
        await Pair.B.Client.DeleteAsync(new DeleteRequest { Volume = Ref(uid, 1) });
        await UntilAsync(watch, change => change.Status is { State: ReplicaState.Alone, SecondaryState: SecondaryState.Stale });
    }

    [Fact]
    public async Task Wrong_configuration_ends_with_1_and_names_the_keys()
    {
        ToolResult result = await Tool.RunAsync(
            "dotnet", "exec", Path.Combine(AppContext.BaseDirectory, "colo-agent.dll"), "--node-name", "a b", "--pool", "p=relative");
        result.ExitCode.ShouldBe(1);
        result.Error.ShouldContain("NodeName");
        result.Error.ShouldContain("Pools:p");
    }

    [Fact]
    public async Task A_shutdown_closes_every_volume_cleanly_and_json_logs_say_so()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("a", directory.Path, directory.File("arb"), "--log-format", "json");
        new VolumeRecordFile(directory.File("arb"), "end").TryCreate(new("end", 1, "a", "", SecondaryState.None));
        await agent.Client.PrepareAsync(Request("end", 1, Role.Primary));
        await Guest.WriteAsync(agent.GuestUri("end"), 3, "0", "4k");
        (await agent.TerminateAsync()).ShouldBe(0);
        agent.Log.ShouldContain("\"EventId\":1002");
        agent.Log.Split('\n').ShouldAllBe(line => line.Length == 0 || line.StartsWith('{'));
        await Guest.ExpectDiskAsync(agent.DiskPath("end"), 3, "0", "4k");
    }

    [Fact]
    public async Task A_shutdown_ends_every_Watch_with_the_word_that_the_agent_stops_and_waits_for_nobody()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using AgentUnderTest agent = await AgentUnderTest.StartAsync("a", directory.Path, directory.File("arb"));
        using AsyncServerStreamingCall<WatchEvent> watch = agent.Client.Watch(new WatchRequest());
        (await NextAsync(watch)).Node.Stopping.ShouldBeFalse();

        // With a watcher that does not leave: a shutdown that waited for it would last as long as a shutdown may.
        Task<int> ended = agent.TerminateAsync();
        NodeStatus last = new();
        while (await watch.ResponseStream.MoveNext(CancellationToken.None))
        {
            last = watch.ResponseStream.Current.Node ?? last;
        }

        last.Stopping.ShouldBeTrue();
        (await ended).ShouldBe(0);
    }

    private async Task<string> ScrapeAsync()
    {
        using HttpClient http = new();
        return await http.GetStringAsync($"http://{A.MetricsAddress}/metrics");
    }

    private static async Task<WatchEvent> NextAsync(AsyncServerStreamingCall<WatchEvent> watch)
    {
        using CancellationTokenSource limit = new(Tool.DefaultTimeout);
        (await watch.ResponseStream.MoveNext(limit.Token)).ShouldBeTrue();
        return watch.ResponseStream.Current;
    }

    /// <summary>Past the heartbeats.</summary>
    private static async Task<VolumeStatus> NextStatusAsync(AsyncServerStreamingCall<WatchEvent> watch)
    {
        WatchEvent next = await NextAsync(watch);
        while (next.Node is not null)
        {
            next = await NextAsync(watch);
        }

        return next.Status;
    }

    private static async Task UntilAsync(AsyncServerStreamingCall<WatchEvent> watch, Func<WatchEvent, bool> condition)
    {
        while (!condition(await NextAsync(watch)))
        {
        }
    }
}
