using System.Text.Json.Nodes;
using Colo.Cli.Cluster;
using Colo.Kubernetes;
using k8s.Models;
using Spectre.Console;

namespace Colo.Cli.Tests.Cluster;

public sealed class ClusterVolumeTests
{
    [Fact]
    public void An_object_that_cannot_be_read_does_not_hide_the_others()
    {
        ClusterVolume[] volumes = [Volume("good", """{"size": "1Gi"}"""), Volume("bad", """{"size": "1Gi", "mode": "FromTheFuture"}""")];

        volumes[0].Problem.ShouldBeNull();
        volumes[1].Problem!.ShouldContain("mode");
        string table = Render(volumes);
        table.ShouldMatch("(?m)^good +Pending ");
        table.ShouldMatch("(?m)^bad +Unreadable ");
        Should.Throw<CommandException>(volumes[1].Readable).Message.ShouldContain("vms/bad");
    }

    [Fact]
    public void A_state_from_a_cache_that_lags_is_known_to_be_older()
    {
        Volume("v", "{}", "9").IsAtLeastAsNewAs(Volume("v", "{}", "10")).ShouldBeFalse();
        Volume("v", "{}", "10").IsAtLeastAsNewAs(Volume("v", "{}", "10")).ShouldBeTrue();
        Volume("v", "{}", "opaque").IsAtLeastAsNewAs(Volume("v", "{}", "10")).ShouldBeTrue();
    }

    private static string Render(ClusterVolume[] volumes)
    {
        using StringWriter writer = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer), Ansi = AnsiSupport.No });
        console.Profile.Width = 250;
        console.Write(VolumeTable.Of(volumes, namespaces: false, wide: true, DateTimeOffset.UnixEpoch));
        return writer.ToString();
    }

    private static ClusterVolume Volume(string name, string spec, string version = "1")
    {
        JsonObject document = new()
        {
            ["apiVersion"] = "colo.dev/v1alpha1",
            ["kind"] = "ReplicatedVolume",
            ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = "vms", ["uid"] = name },
            ["spec"] = JsonNode.Parse(spec),
        };
        return new ClusterVolume(new Resource<JsonObject>(new V1ObjectMeta { Name = name, NamespaceProperty = "vms", Uid = name, ResourceVersion = version }, document));
    }
}
