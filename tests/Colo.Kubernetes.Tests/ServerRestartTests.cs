using Colo.Kubernetes.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;
using k8s.Models;

namespace Colo.Kubernetes.Tests;

/// <summary>An API server of one's own that is stopped, frozen and compacted under informers.</summary>
public sealed class ServerRestartTests
{
    private static readonly InformerOptions Impatient = new()
    {
        Namespace = "default",
        IdleTimeout = TimeSpan.FromSeconds(3),
        RequestTimeout = TimeSpan.FromSeconds(5),
        MaxBackoff = TimeSpan.FromSeconds(1),
    };

    [Fact]
    public async Task A_compaction_and_a_restart_while_the_watch_was_cut_off_leave_nothing_missed_and_no_phantom()
    {
        await using KubeApiServer server = await KubeApiServer.StartAsync();
        using k8s.Kubernetes direct = Cluster.Connect(server);
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(direct);
        await CreateAsync(maps, 0, 30);
        await using Forwarder forwarder = new(server.Address);
        using k8s.Kubernetes client = Cluster.Connect(server, forwarder.Address);
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, Impatient);
        await following.Informer.Synced;

        for (int round = 1; round <= 3; round++)
        {
            int lists = following.Informer.Requests.Lists;
            forwarder.Cut();
            await DeleteAsync(maps, (round - 1) * 10, 10);
            await CreateAsync(maps, 20 + (round * 10), 10);
            await maps.MergePatchAsync(new ObjectKey("default", $"map-{(round * 10) + 15}"), Cluster.ValuePatch($"round {round}"), null, default);
            await server.CompactAsync();
            await server.RestartAsync();
            forwarder.Heal();

            await Eventually.TrueAsync(() => following.Informer.Requests.Lists > lists, "the version is gone: it lists again");
            string[] there = [.. (await maps.ListAsync(new ListOptions { Namespace = "default" }, default)).Items
                .Select(i => $"{i.Key.Name} {i.ResourceVersion}").Order(StringComparer.Ordinal)];
            await Eventually.TrueAsync(
                () => following.Informer.List().Select(i => $"{i.Key.Name} {i.ResourceVersion}").Order(StringComparer.Ordinal).SequenceEqual(there),
                $"round {round}: the copy is what the server has");
        }

        following.Told.Count(t => t[0] == '+').ShouldBe(60);
        following.Told.Count(t => t[0] == '-').ShouldBe(30);
        following.Told.GroupBy(t => t).ShouldAllBe(g => g.Key[0] == '~' || g.Count() == 1);
    }

    [Fact]
    public async Task A_server_that_is_stopped_frozen_and_started_again_is_followed_on()
    {
        await using KubeApiServer server = await KubeApiServer.StartAsync();
        using k8s.Kubernetes client = Cluster.Connect(server);
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(client);
        await CreateAsync(maps, 0, 3);
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, Impatient);
        await following.Informer.Synced;

        await server.StopAsync();
        ApiException refused = await Should.ThrowAsync<ApiException>(() => maps.GetAsync(new ObjectKey("default", "map-0"), default));
        refused.Kind.ShouldBe(ApiErrorKind.Unreachable);
        await Eventually.TrueAsync(() => following.Informer.SilentFor > TimeSpan.FromSeconds(2), "the silence is measured");
        following.Informer.List().Count.ShouldBe(3, "what was known stays known");
        await server.StartAgainAsync();
        await CreateAsync(maps, 3, 1);
        await Eventually.TrueAsync(() => following.Told.Contains("+map-3"), "followed on after the restart");

        await server.FreezeAsync();
        int watches = following.Informer.Requests.Watches;
        await Eventually.TrueAsync(() => following.Informer.Requests.Watches > watches, "a frozen server is noticed");
        await server.ThawAsync();
        await CreateAsync(maps, 4, 1);
        await Eventually.TrueAsync(() => following.Told.Contains("+map-4"), "followed on after the thaw");
        following.Told.Count(t => t[0] == '-').ShouldBe(0);
        following.Told.GroupBy(t => t).ShouldAllBe(g => g.Count() == 1);
    }

    private static Task CreateAsync(ResourceClient<V1ConfigMap> maps, int from, int count) =>
        Parallel.ForAsync(from, from + count, async (i, token) => await RetryAsync(
            () => maps.CreateAsync("default", Cluster.ConfigMap($"map-{i}"), token), done: ApiErrorKind.AlreadyExists));

    private static Task DeleteAsync(ResourceClient<V1ConfigMap> maps, int from, int count) =>
        Parallel.ForAsync(from, from + count, async (i, token) => await RetryAsync(
            () => maps.DeleteAsync(new ObjectKey("default", $"map-{i}"), null, token), done: ApiErrorKind.NotFound));

    /// <summary>
    /// A connection from before a restart breaks at its first use, and whether that write got through is not known: then its repetition is
    /// answered with <paramref name="done"/>.
    /// </summary>
    private static Task RetryAsync(Func<Task> write, ApiErrorKind done) => Eventually.TrueAsync(
        async () =>
        {
            try
            {
                await write();
                return true;
            }
            catch (ApiException e) when (e.IsTransient || e.Kind == done || e.Kind == ApiErrorKind.Forbidden)
            {
                return e.Kind == done;
            }
        },
        "the write gets through");
}
