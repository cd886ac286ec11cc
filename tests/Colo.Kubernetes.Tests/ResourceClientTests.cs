using System.Net;
using Colo.Kubernetes.Tests.Kit;
using Colo.Testing.Kube;
using k8s.Models;

namespace Colo.Kubernetes.Tests;

/// <summary>Every kind of refusal, as the real server words it.</summary>
public sealed class ResourceClientTests(KubeApiServerFixture kube) : IDisposable
{
    private readonly k8s.Kubernetes client = Cluster.Connect(kube.Server);

    public void Dispose() => client.Dispose();

    [Fact]
    public async Task Each_refusal_of_the_server_has_its_kind()
    {
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> maps = Cluster.ConfigMaps(client);
        Resource<V1ConfigMap> map = await maps.CreateAsync(ns, Cluster.ConfigMap("one"), default);
        ObjectKey key = map.Key;

        (await KindAsync(() => maps.GetAsync(new ObjectKey(ns, "nobody"), default))).ShouldBe(ApiErrorKind.NotFound);
        (await maps.FindAsync(new ObjectKey(ns, "nobody"), default)).ShouldBeNull();
        (await maps.DeleteAsync(new ObjectKey(ns, "nobody"), null, default)).ShouldBeFalse();
        (await KindAsync(() => maps.CreateAsync(ns, Cluster.ConfigMap("one"), default))).ShouldBe(ApiErrorKind.AlreadyExists);
        (await KindAsync(() => maps.CreateAsync(ns, Cluster.ConfigMap("No Name"), default))).ShouldBe(ApiErrorKind.Invalid);
        (await KindAsync(() => maps.DeleteAsync(key, new DeleteOptions { Uid = "another" }, default))).ShouldBe(ApiErrorKind.Conflict);

        JsonArray failing = [new JsonObject { ["op"] = "test", ["path"] = "/data/value", ["value"] = "9" }];
        (await KindAsync(() => maps.JsonPatchAsync(key, failing, null, default))).ShouldBe(ApiErrorKind.Invalid);

        JsonObject stale = Cluster.ConfigMap("one", "2");
        stale["metadata"]!["resourceVersion"] = map.ResourceVersion;
        await maps.ReplaceAsync(key, stale.DeepClone(), null, default);
        (await KindAsync(() => maps.ReplaceAsync(key, stale, null, default))).ShouldBe(ApiErrorKind.Conflict);
        (await maps.DeleteAsync(key, new DeleteOptions { Uid = map.Uid }, default)).ShouldBeTrue();
    }

    [Fact]
    public async Task Who_may_not_is_told_so()
    {
        string kubeconfig = await kube.Server.KubeconfigForUserAsync("nobody-in-particular");
        using k8s.Kubernetes stranger = KubernetesConnection.Open(KubernetesConnection.FindConfiguration(kubeconfig));
        ApiException refused = await Should.ThrowAsync<ApiException>(
            () => Cluster.ConfigMaps(stranger).GetAsync(new ObjectKey("default", "one"), default));
        refused.Kind.ShouldBe(ApiErrorKind.Forbidden);
        refused.StatusCode.ShouldBe((int)HttpStatusCode.Forbidden);
        refused.Message.ShouldContain("nobody-in-particular");
        refused.IsTransient.ShouldBeFalse();
    }

    [Fact]
    public async Task No_answer_within_the_bound_is_unreachable_and_the_callers_own_cancellation_is_not()
    {
        await using Forwarder forwarder = new(kube.Server.Address);
        using k8s.Kubernetes through = Cluster.Connect(kube.Server, forwarder.Address);
        ResourceClient<V1ConfigMap> maps = new(through, ResourceTypes.ConfigMaps) { RequestTimeout = TimeSpan.FromSeconds(1) };
        ObjectKey key = new("default", "one");
        (await maps.FindAsync(key, default)).ShouldBeNull();
        forwarder.Silence();
        ApiException silent = await Should.ThrowAsync<ApiException>(() => maps.GetAsync(key, default));
        silent.Kind.ShouldBe(ApiErrorKind.Unreachable);
        silent.IsTransient.ShouldBeTrue();

        using CancellationTokenSource cancelled = new(TimeSpan.FromMilliseconds(100));
        await Should.ThrowAsync<OperationCanceledException>(() => maps.GetAsync(key, cancelled.Token));
    }

    [Fact]
    public async Task An_apply_creates_changes_and_respects_another_manager()
    {
        string ns = await kube.NewNamespaceAsync();
        ResourceClient<V1ConfigMap> ours = new(client, ResourceTypes.ConfigMaps) { FieldManager = "ours" };
        ResourceClient<V1ConfigMap> theirs = new(client, ResourceTypes.ConfigMaps) { FieldManager = "theirs" };
        ObjectKey key = new(ns, "one");
        (await ours.ApplyAsync(key, Cluster.ConfigMap("one", "1"), force: false, default)).Value.Data["value"].ShouldBe("1");
        (await KindAsync(() => theirs.ApplyAsync(key, Cluster.ConfigMap("one", "2"), force: false, default))).ShouldBe(ApiErrorKind.Conflict);
        (await theirs.ApplyAsync(key, Cluster.ConfigMap("one", "2"), force: true, default)).Value.Data["value"].ShouldBe("2");
    }

    [Fact]
    public async Task Requests_are_counted_by_code_and_method()
    {
        string ns = await kube.NewNamespaceAsync();
        await Cluster.ConfigMaps(client).FindAsync(new ObjectKey(ns, "nobody"), default);
        using MemoryStream exported = new();
        await Prometheus.Metrics.DefaultRegistry.CollectAndExportAsTextAsync(exported);
        System.Text.Encoding.UTF8.GetString(exported.ToArray()).ShouldContain("""rest_client_requests_total{code="404",method="GET"}""");
    }

    private static async Task<ApiErrorKind> KindAsync(Func<Task> call) => (await Should.ThrowAsync<ApiException>(call)).Kind;
}
