using Colo.Kubernetes.Tests.Kit;
using Colo.Testing.Kube;

namespace Colo.Kubernetes.Tests;

public sealed class FinalizerPatcherTests : IDisposable
{
    private const string Ours = "colo.test/ours";
    private const string Foreign = "example.org/theirs";

    private readonly KubeApiServerFixture kube;
    private readonly k8s.Kubernetes client;
    private readonly ResourceClient<Widget> widgets;
    private readonly FinalizerPatcher<Widget> patcher;

    public FinalizerPatcherTests(KubeApiServerFixture kube)
    {
        this.kube = kube;
        client = Cluster.Connect(kube.Server);
        widgets = new ResourceClient<Widget>(client, Widgets.Type);
        patcher = new FinalizerPatcher<Widget>(client, Widgets.Type, TimeProvider.System);
    }

    public void Dispose() => client.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_finalizer_is_added_and_removed_and_a_foreign_one_stays(bool withForeign)
    {
        string[] foreign = withForeign ? [Foreign] : [];
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client, foreign);
        Resource<Widget>? added = await patcher.AddAsync(seen, Ours, default);
        added!.Metadata.Finalizers.ShouldBe([.. foreign, Ours]);
        (await patcher.AddAsync(seen, Ours, default))!.Metadata.Finalizers.ShouldBe([.. foreign, Ours], "from a stale object too");
        Resource<Widget>? removed = await patcher.RemoveAsync(seen, Ours, default);
        (removed!.Metadata.Finalizers ?? []).ShouldBe(foreign);
        (await patcher.RemoveAsync(added, Ours, default))!.ResourceVersion.ShouldBe(removed.ResourceVersion, "there is nothing to remove");
    }

    [Fact]
    public async Task Finalizers_that_many_add_and_remove_at_the_same_time_are_neither_lost_nor_kept()
    {
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client, Foreign);
        string[] all = [.. Enumerable.Range(0, 6).Select(i => $"colo.test/node.{i}")];
        await Task.WhenAll(all.Select(f => patcher.AddAsync(seen, f, default)));
        Resource<Widget> full = await widgets.GetAsync(seen.Key, default);
        full.Metadata.Finalizers.ShouldBe([Foreign, .. all], ignoreOrder: true);

        // Half of them go while the others come again and a stranger takes his away.
        await Task.WhenAll([
            .. all.Take(3).Select(f => patcher.RemoveAsync(full, f, default)),
            .. all.Skip(3).Select(f => patcher.AddAsync(seen, f, default)),
            patcher.RemoveAsync(full, Foreign, default)]);
        (await widgets.GetAsync(seen.Key, default)).Metadata.Finalizers.ShouldBe(all.Skip(3), ignoreOrder: true);
    }

    [Fact]
    public async Task Nothing_is_added_to_an_object_that_is_being_deleted()
    {
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client, Foreign);
        await widgets.DeleteAsync(seen.Key, null, default);
        (await patcher.AddAsync(seen, Ours, default)).ShouldBeNull("the cache does not know yet; the server does");
        (await widgets.GetAsync(seen.Key, default)).Metadata.Finalizers.ShouldBe([Foreign]);
    }

    [Fact]
    public async Task The_last_finalizer_of_a_deleted_object_lets_it_go_and_another_of_its_name_is_left_alone()
    {
        Resource<Widget> seen = (await patcher.AddAsync(await Widgets.CreateAsync(kube, client), Ours, default))!;
        await widgets.DeleteAsync(seen.Key, null, default);
        await patcher.RemoveAsync(seen, Ours, default);
        (await widgets.FindAsync(seen.Key, default)).ShouldBeNull();
        (await patcher.RemoveAsync(seen, Ours, default)).ShouldBeNull();
        (await patcher.AddAsync(seen, "colo.test/second", default)).ShouldBeNull();
    }
}
