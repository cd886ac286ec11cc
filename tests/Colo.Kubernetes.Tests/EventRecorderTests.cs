using Colo.Kubernetes.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Kubernetes.Tests;

public sealed class EventRecorderTests(KubeApiServerFixture kube) : IDisposable
{
    private readonly k8s.Kubernetes client = Cluster.Connect(kube.Server);

    public void Dispose() => client.Dispose();

    [Fact]
    public async Task What_is_said_again_raises_the_count_of_one_Event_that_kubectl_shows()
    {
        V1ObjectReference about = await AboutAsync();
        await using Recording recording = new(client, new EventRecorderOptions { Component = "colo-test", Instance = "node-a" });
        for (int i = 0; i < 3; i++)
        {
            recording.Recorder.Record(about, EventType.Warning, "Degraded", "the secondary is gone");
        }

        recording.Recorder.Record(about, EventType.Normal, "Protected", "in sync");
        await Eventually.TrueAsync(async () => (await EventsAsync(about)).Sum(e => e.Count) == 4, "all four are told");
        Corev1Event[] events = [.. (await EventsAsync(about)).OrderBy(e => e.Reason)];
        events.Select(e => (e.Reason, e.Type, e.Count)).ShouldBe([("Degraded", "Warning", 3), ("Protected", "Normal", 1)]);
        events[0].InvolvedObject.Uid.ShouldBe(about.Uid);
        events[0].Source.Component.ShouldBe("colo-test");
        events[0].LastTimestamp!.Value.ShouldBeGreaterThanOrEqualTo(events[0].FirstTimestamp!.Value);
        string described = await kube.Admin.OutputAsync("describe", "configmap", "one", "-n", about.NamespaceProperty);
        described.ShouldContain("(x3 over");
        described.ShouldContain("the secondary is gone");
    }

    [Fact]
    public async Task An_object_that_says_too_much_is_held_back_and_another_is_not()
    {
        V1ObjectReference loud = await AboutAsync();
        V1ObjectReference quiet = await AboutAsync();
        await using Recording recording = new(client, new EventRecorderOptions { Component = "colo-test", Burst = 5 });
        for (int i = 0; i < 50; i++)
        {
            recording.Recorder.Record(loud, EventType.Normal, "Chatter", $"message {i}");
        }

        recording.Recorder.Record(quiet, EventType.Normal, "Once", "said once");
        await Eventually.TrueAsync(async () => (await EventsAsync(quiet)).Count == 1, "the quiet one is heard");
        (await EventsAsync(loud)).Count.ShouldBe(5);
    }

    [Fact]
    public async Task An_Event_that_the_server_forgot_is_made_anew_with_its_count()
    {
        V1ObjectReference about = await AboutAsync();
        await using Recording recording = new(client, new EventRecorderOptions { Component = "colo-test" });
        recording.Recorder.Record(about, EventType.Normal, "Again", "and again");
        await Eventually.TrueAsync(async () => (await EventsAsync(about)).Count == 1, "told");
        await kube.Admin.OutputAsync("delete", "events", "--all", "-n", about.NamespaceProperty);
        recording.Recorder.Record(about, EventType.Normal, "Again", "and again");
        await Eventually.TrueAsync(async () => (await EventsAsync(about)) is [{ Count: 2 }], "told anew");
    }

    [Fact]
    public async Task Recording_neither_throws_nor_waits_where_the_server_is_gone_and_sends_when_it_is_back()
    {
        V1ObjectReference about = await AboutAsync();
        await using Forwarder forwarder = new(kube.Server.Address);
        forwarder.Cut();
        using k8s.Kubernetes through = Cluster.Connect(kube.Server, forwarder.Address);
        await using Recording recording = new(through, new EventRecorderOptions { Component = "colo-test", QueueLength = 8 });
        for (int i = 0; i < 10_000; i++)
        {
            recording.Recorder.Record(about, EventType.Normal, "Flood", "the same");
        }

        recording.Recorder.Record(new V1ObjectReference(), EventType.Normal, "Nothing", "about nobody");
        recording.Recorder.Record(null!, EventType.Normal, "Nothing", "about nobody");
        forwarder.Heal();
        await Eventually.TrueAsync(async () => (await EventsAsync(about)).Count > 0, "something of it arrives");
    }

    [Fact]
    public async Task What_waits_at_a_shutdown_is_still_sent()
    {
        V1ObjectReference about = await AboutAsync();
        await using (Recording recording = new(client, new EventRecorderOptions { Component = "colo-test" }))
        {
            recording.Recorder.Record(about, EventType.Normal, "Last", "words");
        }

        (await EventsAsync(about)).Count.ShouldBe(1);
    }

    private async Task<V1ObjectReference> AboutAsync()
    {
        string ns = await kube.NewNamespaceAsync();
        return ResourceTypes.ConfigMaps.ReferenceTo(await Cluster.ConfigMaps(client).CreateAsync(ns, Cluster.ConfigMap("one"), default));
    }

    private async Task<IReadOnlyList<Corev1Event>> EventsAsync(V1ObjectReference about)
    {
        ResourceList<Corev1Event> list = await new ResourceClient<Corev1Event>(client, ResourceTypes.Events)
            .ListAsync(new ListOptions { Namespace = about.NamespaceProperty }, default);
        return [.. list.Items.Select(i => i.Value)];
    }

    private sealed class Recording : IAsyncDisposable
    {
        private readonly CancellationTokenSource stop = new();
        private readonly Task running;

        public Recording(k8s.Kubernetes client, EventRecorderOptions options)
        {
            Recorder = new EventRecorder(client, options, TimeProvider.System, NullLogger.Instance);
            running = Recorder.RunAsync(stop.Token);
        }

        public EventRecorder Recorder { get; }

        public async ValueTask DisposeAsync()
        {
            await stop.CancelAsync();
            await running;
            stop.Dispose();
        }
    }
}
