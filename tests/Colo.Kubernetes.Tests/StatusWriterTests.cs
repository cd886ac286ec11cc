using Colo.Kubernetes.Tests.Kit;
using Colo.Testing.Kube;
using Microsoft.Extensions.Time.Testing;

namespace Colo.Kubernetes.Tests;

public sealed class StatusWriterTests : IDisposable
{
    private static readonly StatusWriterOptions TermIsForeign = new() { ForeignFields = new HashSet<string>(StringComparer.Ordinal) { "term" } };

    private readonly KubeApiServerFixture kube;
    private readonly k8s.Kubernetes client;
    private readonly ResourceClient<Widget> widgets;

    /// <summary>Stands still: what a condition's time becomes is what the test set.</summary>
    private readonly FakeTimeProvider time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
    private readonly StatusWriter<Widget> writer;

    public StatusWriterTests(KubeApiServerFixture kube)
    {
        this.kube = kube;
        client = Cluster.Connect(kube.Server);
        widgets = new ResourceClient<Widget>(client, Widgets.Type);
        writer = new StatusWriter<Widget>(client, Widgets.Type, TermIsForeign, time);
    }

    public void Dispose() => client.Dispose();

    [Fact]
    public async Task A_status_is_written_once_and_not_again_where_nothing_changed()
    {
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client);
        WidgetStatus desired = new() { Phase = "Ready", Disk = new WidgetDisk(5, "a"), Conditions = [new WidgetCondition("Ready", "True")] };
        StatusWriteResult<Widget> first = await writer.WriteAsync(seen, desired, default);
        first.Outcome.ShouldBe(StatusWriteOutcome.Written);
        first.Latest!.Value.Status!.Phase.ShouldBe("Ready");
        first.Latest.Value.Status.ObservedGeneration.ShouldBe(seen.Metadata.Generation);

        StatusWriteResult<Widget> second = await writer.WriteAsync(first.Latest, desired, default);
        second.Outcome.ShouldBe(StatusWriteOutcome.Unchanged);
        (await widgets.GetAsync(seen.Key, default)).ResourceVersion.ShouldBe(first.Latest.ResourceVersion, "nothing was sent");

        // Whoever still has the object from before the first write finds out that it is written already.
        StatusWriteResult<Widget> stale = await Advancing(() => writer.WriteAsync(seen, desired, default));
        stale.Outcome.ShouldBe(StatusWriteOutcome.Unchanged);
        stale.Latest!.ResourceVersion.ShouldBe(first.Latest.ResourceVersion);
    }

    [Fact]
    public async Task A_field_that_is_not_wanted_any_more_is_removed_and_a_foreign_one_is_never_touched()
    {
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client);
        seen = await widgets.MergePatchAsync(
            seen.Key, new JsonObject { ["status"] = new JsonObject { ["term"] = 7, ["note"] = "old", ["phase"] = "Old" } }, "status", default);
        StatusWriteResult<Widget> written = await writer.WriteAsync(seen, new WidgetStatus { Phase = "New", Term = 3 }, default);
        written.Outcome.ShouldBe(StatusWriteOutcome.Written);
        written.Latest!.Value.Status!.Term.ShouldBe(7);
        written.Latest.Value.Status.Note.ShouldBeNull();
        written.Latest.Value.Status.Phase.ShouldBe("New");
    }

    [Fact]
    public async Task A_condition_keeps_its_time_while_its_status_stays_and_conditions_of_others_stay()
    {
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client);
        seen = await widgets.MergePatchAsync(
            seen.Key,
            new JsonObject
            {
                ["status"] = new JsonObject
                {
                    ["conditions"] = new JsonArray(
                        new JsonObject { ["type"] = "Foreign", ["status"] = "True", ["lastTransitionTime"] = "2020-01-01T00:00:00Z" }),
                },
            },
            "status", default);
        seen = (await writer.WriteAsync(seen, Status("True", "False"), default)).Latest!;
        Time(seen, "Ready").ShouldBe("2026-01-02T03:04:05Z");

        time.Advance(TimeSpan.FromHours(1));
        seen = (await writer.WriteAsync(seen, Status("True", "True"), default)).Latest!;
        Time(seen, "Ready").ShouldBe("2026-01-02T03:04:05Z");
        Time(seen, "Synced").ShouldBe("2026-01-02T04:04:05Z");
        Time(seen, "Foreign").ShouldBe("2020-01-01T00:00:00Z");

        static WidgetStatus Status(string ready, string synced) =>
            new() { Phase = "x", Conditions = [new WidgetCondition("Ready", ready), new WidgetCondition("Synced", synced)] };
    }

    [Fact]
    public async Task A_write_from_a_stale_object_is_made_again_from_the_latest()
    {
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client);
        await widgets.MergePatchAsync(
            seen.Key, new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { ["a"] = "b" } } }, null, default);
        StatusWriteResult<Widget> written = await Advancing(() => writer.WriteAsync(seen, new WidgetStatus { Phase = "New" }, default));
        written.Outcome.ShouldBe(StatusWriteOutcome.Written);
        written.Latest!.Metadata.Annotations["a"].ShouldBe("b");
    }

    [Theory]
    [InlineData("""{"status":{"term":8}}""", "status")]
    [InlineData("""{"spec":{"size":2}}""", null)]
    public async Task A_decision_on_a_record_or_a_spec_that_changed_is_not_written(string change, string? subresource)
    {
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client);
        await widgets.MergePatchAsync(seen.Key, JsonNode.Parse(change)!, subresource, default);
        StatusWriteResult<Widget> result = await Advancing(() => writer.WriteAsync(seen, new WidgetStatus { Phase = "New" }, default));
        result.Outcome.ShouldBe(StatusWriteOutcome.Outdated);
        (await widgets.GetAsync(seen.Key, default)).Value.Status?.Phase.ShouldNotBe("New");
    }

    [Fact]
    public async Task An_object_that_is_gone_or_another_of_its_name_is_not_written()
    {
        Resource<Widget> seen = await Widgets.CreateAsync(kube, client);
        await widgets.DeleteAsync(seen.Key, null, default);
        (await writer.WriteAsync(seen, new WidgetStatus { Phase = "New" }, default)).Outcome.ShouldBe(StatusWriteOutcome.Gone);

        JsonObject again = new()
        {
            ["apiVersion"] = Widgets.Type.ApiVersion,
            ["kind"] = Widgets.Type.Kind,
            ["metadata"] = new JsonObject { ["name"] = seen.Key.Name },
        };
        await widgets.CreateAsync(seen.Key.Namespace, again, default);
        StatusWriteResult<Widget> result = await Advancing(() => writer.WriteAsync(seen, new WidgetStatus { Phase = "New" }, default));
        result.Outcome.ShouldBe(StatusWriteOutcome.Gone);
        (await widgets.GetAsync(seen.Key, default)).Value.Status.ShouldBeNull();
    }

    private static string? Time(Resource<Widget> widget, string type) =>
        widget.Value.Status!.Conditions.Single(c => c.Type == type).LastTransitionTime;

    /// <summary>The clock stands still, and a retry waits by it.</summary>
    private async Task<TResult> Advancing<TResult>(Func<Task<TResult>> action)
    {
        Task<TResult> running = action();
        while (!running.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(10));
            await Task.WhenAny(running, Task.Delay(10));
        }

        return await running;
    }
}
