using System.Text.Json;
using Colo.Kubernetes.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Kubernetes.Tests;

/// <summary>What an informer makes of a real API server that works.</summary>
public sealed class InformerTests(KubeApiServerFixture kube) : IDisposable
{
    private readonly k8s.Kubernetes client = Cluster.Connect(kube.Server);

    public void Dispose() => client.Dispose();

    [Fact]
    public async Task An_object_that_is_created_changed_and_deleted_is_told_in_that_order()
    {
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(client);
        await maps.CreateAsync(ns, Cluster.ConfigMap("before"), default);
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, new InformerOptions { Namespace = ns });
        await following.Informer.Synced;
        following.Told.ShouldContain("+before", "Synced promises that the first list was told");

        ObjectKey key = new(ns, "one");
        await maps.CreateAsync(ns, Cluster.ConfigMap("one"), default);
        Resource<V1ConfigMap> changed = await maps.MergePatchAsync(key, Cluster.ValuePatch("2"), null, default);
        await Eventually.TrueAsync(() => following.Informer.Get(key)?.ResourceVersion == changed.ResourceVersion, "the change arrives");
        following.Informer.Get(key)!.Value.Data["value"].ShouldBe("2");
        (await maps.DeleteAsync(key, null, default)).ShouldBeTrue();
        await Eventually.TrueAsync(() => following.Informer.Get(key) is null, "the deletion arrives");

        following.Told.Where(t => t.EndsWith("one", StringComparison.Ordinal)).ShouldBe(["+one", "~one", "-one"]);
        following.Informer.Requests.ShouldBe((1, 1));
    }

    [Fact]
    public async Task A_list_of_many_pages_is_whole()
    {
        string ns = await kube.NewNamespaceAsync();
        string[] names = [.. Enumerable.Range(0, 23).Select(i => $"map-{i:00}")];
        await Parallel.ForEachAsync(names, async (name, token) =>
            await Cluster.ConfigMaps(client).CreateAsync(ns, Cluster.ConfigMap(name), token));
        await using Following<V1ConfigMap> following =
            new(client, ResourceTypes.ConfigMaps, new InformerOptions { Namespace = ns, PageSize = 5 });
        await following.Informer.Synced;
        following.Names.ShouldBe(names);
        (await Cluster.ConfigMaps(client).ListAsync(new ListOptions { Namespace = ns }, default)).Items.Count.ShouldBe(names.Length);
    }

    [Fact]
    public async Task An_object_whose_label_is_taken_away_is_gone_for_who_selects_by_it()
    {
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(client);
        await maps.CreateAsync(ns, Cluster.ConfigMap("mine", label: "a"), default);
        await maps.CreateAsync(ns, Cluster.ConfigMap("other", label: "b"), default);
        await using Following<V1ConfigMap> following =
            new(client, ResourceTypes.ConfigMaps, new InformerOptions { Namespace = ns, LabelSelector = "group=a" });
        await following.Informer.Synced;
        following.Names.ShouldBe(["mine"]);

        JsonObject patch = new() { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["group"] = null } } };
        await maps.MergePatchAsync(new ObjectKey(ns, "mine"), patch, null, default);
        await Eventually.TrueAsync(() => following.Told.Contains("-mine"), "it left the selection");
        following.Names.ShouldBeEmpty();
    }

    [Fact]
    public async Task An_object_that_does_not_parse_is_told_of_and_hides_no_other()
    {
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(client);
        await maps.CreateAsync(ns, Cluster.ConfigMap("bad", "many"), default);
        await maps.CreateAsync(ns, Cluster.ConfigMap("good", "3"), default);
        ResourceType<Counted> type = new(string.Empty, "v1", "configmaps", new JsonSerializerOptions(JsonSerializerDefaults.Web));
        Informer<Counted> informer = new(
            client, type, new InformerOptions { Namespace = ns }, TimeProvider.System, NullLogger.Instance);
        using CancellationTokenSource stop = new();
        List<string> unreadable = [];
        informer.Unreadable += u => unreadable.Add(u.Key.Name);
        Task running = informer.RunAsync(stop.Token);
        await informer.Synced;
        informer.Get(new ObjectKey(ns, "good"))!.Value.Data.Value.ShouldBe(3);
        informer.Get(new ObjectKey(ns, "bad")).ShouldBeNull();
        unreadable.ShouldBe(["bad"]);

        // One that was readable stays as it was: a controller that takes it for deleted would do harm.
        await maps.MergePatchAsync(new ObjectKey(ns, "good"), Cluster.ValuePatch("few"), null, default);
        await Eventually.TrueAsync(() => unreadable.Count == 2, "the second is told");
        informer.Get(new ObjectKey(ns, "good"))!.Value.Data.Value.ShouldBe(3);
        await maps.MergePatchAsync(new ObjectKey(ns, "bad"), Cluster.ValuePatch("4"), null, default);
        await Eventually.TrueAsync(() => informer.Get(new ObjectKey(ns, "bad")) is not null, "it is readable now");
        await stop.CancelAsync();
        await running;
    }

    [Fact]
    public async Task A_handler_that_throws_stops_nothing()
    {
        string ns = await kube.NewNamespaceAsync();
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, new InformerOptions { Namespace = ns });
        following.Informer.Changed += _ => throw new InvalidOperationException("a bug of the handler");
        await Cluster.ConfigMaps(client).CreateAsync(ns, Cluster.ConfigMap("one"), default);
        await Cluster.ConfigMaps(client).CreateAsync(ns, Cluster.ConfigMap("two"), default);
        await Eventually.TrueAsync(() => following.Told.Contains("+two"), "the second is told after the first one's handler threw");
    }

    [Fact]
    public async Task Two_thousand_objects_are_followed_through_changes_of_each()
    {
        const int Count = 2000;
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(client);
        ParallelOptions parallel = new() { MaxDegreeOfParallelism = 16 };
        await Parallel.ForAsync(0, Count, parallel, async (i, token) => await maps.CreateAsync(ns, Cluster.ConfigMap($"map-{i}"), token));
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, new InformerOptions { Namespace = ns });
        await following.Informer.Synced;
        following.Informer.List().Count.ShouldBe(Count);
        following.Informer.List().ShouldBeSameAs(following.Informer.List(), "no copy is made where nothing changed");

        await Parallel.ForAsync(0, Count, parallel, async (i, token) =>
            await maps.MergePatchAsync(new ObjectKey(ns, $"map-{i}"), Cluster.ValuePatch("2"), null, token));
        await Eventually.TrueAsync(() => following.Informer.List().All(o => o.Value.Data["value"] == "2"), "every change arrives");
        following.Informer.Requests.ShouldBe((1, 1));
        following.Informer.List().ShouldAllBe(o => o.Metadata.ManagedFields == null);
    }

    private sealed record Counted(CountedData Data);

    private sealed record CountedData([property: System.Text.Json.Serialization.JsonNumberHandling(
        System.Text.Json.Serialization.JsonNumberHandling.AllowReadingFromString)] int Value);
}
