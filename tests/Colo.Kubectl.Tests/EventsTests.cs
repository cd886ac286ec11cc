using Colo.Testing;

namespace Colo.KubectlTests;

public sealed class EventsTests(ColoCluster cluster)
{
    [Fact]
    public async Task Events_are_shown_in_the_order_of_time_with_their_age_and_count()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        string uid = await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        await cluster.AddEventAsync(coloctl.Namespace, "db", uid, "Protected", "node-b is in sync", TimeSpan.FromSeconds(30));
        await cluster.AddEventAsync(coloctl.Namespace, "db", uid, "Provisioned", "two replicas", TimeSpan.FromHours(2));
        await cluster.AddEventAsync(coloctl.Namespace, "web", "other", "BufferPressure", "80 % full", TimeSpan.FromMinutes(5), count: 4, type: "Warning");

        string[] all = (await coloctl.RunAsync("events")).EnsureSuccess().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] one = (await coloctl.RunAsync("events", "db")).EnsureSuccess().Split('\n', StringSplitOptions.RemoveEmptyEntries);

        all[0].ShouldMatch("^AGE +TYPE +VOLUME +REASON +MESSAGE");
        all[1].ShouldMatch("^2h0m +Normal +db +Provisioned +two replicas");
        all[2].ShouldMatch("^5m[0-9]+s \\(x4 over 15m[0-9]+s\\) +Warning +web +BufferPressure +80 % full");
        all[3].ShouldMatch("^[0-9m]+s +Normal +db +Protected +node-b is in sync");
        one.Length.ShouldBe(3);
        one.ShouldNotContain(l => l.Contains("web", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_deleted_volume_still_has_its_events_and_a_new_one_may_have_none()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.AddEventAsync(coloctl.Namespace, "gone", "u", "Deleted", "data stays on node-c", TimeSpan.FromMinutes(1));
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        (await coloctl.RunAsync("events", "gone")).EnsureSuccess().ShouldContain("data stays on node-c");
        ToolResult none = await coloctl.RunAsync("events", "db");
        none.ExitCode.ShouldBe(0);
        none.Error.ShouldBe("no events\n");
        (await coloctl.RunAsync("events", "-A")).EnsureSuccess().ShouldMatch($"(?m)^{coloctl.Namespace} +1m[0-9]+s +Normal +gone");
    }
}
