using System.Diagnostics;
using Colo.Kubernetes.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;
using k8s.Models;

namespace Colo.Kubernetes.Tests;

/// <summary>What an informer makes of lost connections, forgotten versions and servers that come and go.</summary>
public sealed class InformerFaultTests(KubeApiServerFixture kube) : IDisposable
{
    private static readonly InformerOptions Impatient = new()
    {
        IdleTimeout = TimeSpan.FromSeconds(2),
        RequestTimeout = TimeSpan.FromSeconds(5),
        MaxBackoff = TimeSpan.FromSeconds(1),
    };

    private readonly k8s.Kubernetes direct = Cluster.Connect(kube.Server);

    public void Dispose() => direct.Dispose();

    [Theory]
    [InlineData("in the stream")]
    [InlineData("as the status")]
    public async Task A_version_that_is_gone_leads_to_a_list_that_finds_what_was_missed(string form)
    {
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(direct);
        await CreateAsync(maps, ns, "stays", "goes", "returns");
        await using ApiProxy proxy = new(direct) { Interfere = url => IsWatch(url) ? ProxyAnswer.Empty : null };
        using k8s.Kubernetes client = Cluster.Connect(kube.Server, proxy.Address);
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, Impatient with { Namespace = ns });
        await following.Informer.Synced;
        Resource<V1ConfigMap> former = following.Informer.Get(new ObjectKey(ns, "returns"))!;

        // No watch gets through, so that all of this happens unseen; then the version is gone, once.
        await maps.DeleteAsync(new ObjectKey(ns, "goes"), null, default);
        await maps.DeleteAsync(former.Key, null, default);
        await CreateAsync(maps, ns, "returns", "comes");
        int answered = 0;
        proxy.Interfere = url => IsWatch(url) && Interlocked.Increment(ref answered) == 1
            ? form == "in the stream" ? ProxyAnswer.GoneInStream : ProxyAnswer.Gone
            : null;

        await Eventually.TrueAsync(() => following.Told.Contains("+comes"), "the list after the expiry is told");
        following.Names.ShouldBe(["comes", "returns", "stays"]);
        Told(following, "goes").ShouldBe(["+goes", "-goes"]);
        Told(following, "returns").ShouldBe(["+returns", "-returns", "+returns"], "another object of that name is no change of the former");
        Told(following, "stays").ShouldBe(["+stays"]);
        following.Informer.Get(former.Key)!.Uid.ShouldNotBe(former.Uid);
        following.Informer.Requests.Lists.ShouldBe(2);

        await CreateAsync(maps, ns, "later");
        await Eventually.TrueAsync(() => following.Told.Contains("+later"), "the watch after that list works");
    }

    [Fact]
    public async Task A_paged_list_whose_version_expires_in_the_middle_is_read_anew_and_whole()
    {
        string ns = await kube.NewNamespaceAsync();
        await CreateAsync(Cluster.ConfigMaps(direct), ns, "a", "b", "c", "d", "e");
        await using ApiProxy proxy = new(direct)
        {
            Interfere = url => url.Contains("continue=", StringComparison.Ordinal) ? ProxyAnswer.Gone : null,
        };
        using k8s.Kubernetes client = Cluster.Connect(kube.Server, proxy.Address);
        await using Following<V1ConfigMap> following =
            new(client, ResourceTypes.ConfigMaps, Impatient with { Namespace = ns, PageSize = 2 });
        await following.Informer.Synced;
        following.Told.ShouldBe(["+a", "+b", "+c", "+d", "+e"], ignoreOrder: true);
    }

    [Fact]
    public async Task A_watch_that_goes_silent_is_opened_again_where_it_was()
    {
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(direct);
        await using Forwarder forwarder = new(kube.Server.Address);
        using k8s.Kubernetes client = Cluster.Connect(kube.Server, forwarder.Address);
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, Impatient with { Namespace = ns });
        await following.Informer.Synced;
        await CreateAsync(maps, ns, "goes");
        await Eventually.TrueAsync(() => following.Told.Contains("+goes"), "the watch works");

        forwarder.Silence();
        await maps.DeleteAsync(new ObjectKey(ns, "goes"), null, default);
        await CreateAsync(maps, ns, "comes");
        int before = following.Informer.Requests.Watches;
        await Eventually.TrueAsync(() => following.Informer.Requests.Watches > before, "nobody said anything, so it asks again");
        following.Told.ShouldBe(["+goes"]);
        forwarder.Heal();
        await Eventually.TrueAsync(() => following.Told.Contains("+comes"), "what happened meanwhile arrives");
        following.Told.ShouldBe(["+goes", "-goes", "+comes"]);
        following.Informer.Requests.Lists.ShouldBe(1, "a watch that goes on from its version needs no list");
    }

    [Fact]
    public async Task A_connection_that_died_without_a_word_is_replaced()
    {
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(direct);
        await using Forwarder forwarder = new(kube.Server.Address);
        using k8s.Kubernetes client = Cluster.Connect(kube.Server, forwarder.Address);
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, Impatient with { Namespace = ns });
        await following.Informer.Synced;
        forwarder.Strand();
        await CreateAsync(maps, ns, "one");

        // HTTP/2 puts every request into the one connection that is there: without pings this takes the minutes of TCP's retries.
        await Eventually.TrueAsync(() => following.Told.Contains("+one"), "the informer finds a new connection");
        following.Informer.Requests.Lists.ShouldBe(1);
    }

    [Fact]
    public async Task A_watch_that_ends_at_once_again_and_again_is_not_asked_in_a_tight_loop()
    {
        string ns = await kube.NewNamespaceAsync();
        int asked = 0;
        await using ApiProxy proxy = new(direct)
        {
            Interfere = url => IsWatch(url) && Interlocked.Increment(ref asked) > 0 ? ProxyAnswer.Empty : null,
        };
        using k8s.Kubernetes client = Cluster.Connect(kube.Server, proxy.Address);
        long start = Stopwatch.GetTimestamp();
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, Impatient with { Namespace = ns });
        await Eventually.TrueAsync(() => asked >= 6, "it keeps asking");

        // 200, 400, 800 ms, then a second each, all at least halved by jitter: less than that cannot be.
        Stopwatch.GetElapsedTime(start).ShouldBeGreaterThan(TimeSpan.FromSeconds(1.5));
    }

    [Fact]
    public async Task A_server_that_is_away_at_the_start_is_waited_for()
    {
        string ns = await kube.NewNamespaceAsync();
        await CreateAsync(Cluster.ConfigMaps(direct), ns, "one");
        await using Forwarder forwarder = new(kube.Server.Address);
        forwarder.Cut();
        using k8s.Kubernetes client = Cluster.Connect(kube.Server, forwarder.Address);
        await using Following<V1ConfigMap> following = new(client, ResourceTypes.ConfigMaps, Impatient with { Namespace = ns });
        await Eventually.TrueAsync(() => following.Informer.Requests.Lists >= 2, "it keeps trying");
        following.Informer.Synced.IsCompleted.ShouldBeFalse();
        following.Informer.SilentFor.ShouldBeNull();
        forwarder.Heal();
        await following.Informer.Synced;
        following.Names.ShouldBe(["one"]);
    }

    private static bool IsWatch(string url) => url.Contains("watch=true", StringComparison.Ordinal);

    private static IEnumerable<string> Told(Following<V1ConfigMap> following, string name) =>
        following.Told.Where(t => t[1..] == name);

    private static async Task CreateAsync(ResourceClient<V1ConfigMap> maps, string ns, params string[] names)
    {
        foreach (string name in names)
        {
            await maps.CreateAsync(ns, Cluster.ConfigMap(name), default);
        }
    }
}
