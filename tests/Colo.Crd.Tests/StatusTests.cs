using System.Text.Json;
using System.Text.Json.Nodes;
using Colo.Api;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Crd.Tests;

public sealed class StatusTests(CrdFixture crd)
{
    private static readonly DateTimeOffset SomeTimeAgo = DateTimeOffset.UtcNow - TimeSpan.FromMinutes(2);

    private static readonly ReplicatedVolumeStatus Full = new()
    {
        Phase = VolumePhase.Protected,
        Message = "both copies hold every write",
        Term = 7,
        CurrentPrimary = "node-a",
        TargetPrimary = "node-a",
        CurrentSecondary = "node-b",
        SecondaryState = SecondaryState.InSync,
        RecordRevision = 12,
        Replicas =
        [
            new() { Node = "node-a", PodIP = "10.0.0.1", Role = ReplicaRole.Primary, State = "Running", Online = true, InSync = true, Term = 7, GenerationID = "g1", LastSeen = SomeTimeAgo },
            new() { Node = "node-b", Role = ReplicaRole.Secondary, State = "", Error = "" },
        ],
        Endpoint = new() { Unix = "/run/colo/sockets/u", Tcp = "10.0.0.1:9542", Uri = "nbd://10.0.0.1:9542/vms/disk" },
        Checkpoint = new() { Sequence = 3, LastTime = SomeTimeAgo, LastPause = new Duration(TimeSpan.FromMilliseconds(1.25)), BufferedBytes = new ByteQuantity(12345) },
        Buffer = new() { Used = new ByteQuantity(12345), Limit = new ByteQuantity(long.MaxValue) },
        Resync = new() { Percent = 33.3, BytesRemaining = ByteQuantity.FromGibibytes(1), EstimatedFinish = SomeTimeAgo },
        LastRequest = new() { Verb = "switchover", Outcome = RequestOutcome.Refused, Message = "node-c holds no copy", Time = SomeTimeAgo },
        Errors = [new() { Node = "node-b", Number = 1, Name = "PrimaryWrite", Message = "" }],
        Conditions =
        [
            new() { Type = ConditionType.Ready, Status = "True", Reason = "Served", LastTransitionTime = SomeTimeAgo, ObservedGeneration = 1 },
            new() { Type = ConditionType.Degraded, Status = "Unknown", Reason = "NotSeen" },
        ],
        ObservedGeneration = 1,
    };

    [Fact]
    public async Task Status_is_written_apart_from_the_spec_and_keeps_every_field()
    {
        string space = await NewVolumeAsync();
        KubeAnswer before = await crd.GetAsync(space, "disk");

        // The object's own address: a status in it is left out. The status' address: a spec in it is.
        await crd.PatchAsync(space, "disk", """{"status": {"phase": "Faulted"}, "spec": {"failover": {"policy": "Manual"}}}""");
        KubeAnswer written = await WriteStatusAsync(space, Full);
        await crd.PatchAsync(space, "disk", """{"spec": {"failover": {"policy": "Automatic"}}}""", "/status");
        KubeAnswer after = await crd.GetAsync(space, "disk");

        written.IsSuccess.ShouldBeTrue(written.Body.ToJsonString());
        after.Body["spec"]!["failover"]!["policy"]!.GetValue<string>().ShouldBe("Manual");
        (Generation(after) - Generation(before)).ShouldBe(1, "only a change of the spec is a generation");
        JsonNode.DeepEquals(after.Body["status"], JsonSerializer.SerializeToNode(Full, VolumeDocument.JsonOptions))
            .ShouldBeTrue(after.Body["status"]!.ToJsonString());
        VolumeDocument.ToJson(after.Body.Deserialize<ReplicatedVolume>(VolumeDocument.JsonOptions)!.Status).ShouldBe(VolumeDocument.ToJson(Full));
    }

    [Fact]
    public async Task A_status_of_nothing_but_initial_values_is_taken()
    {
        string space = await NewVolumeAsync();
        KubeAnswer written = await WriteStatusAsync(space, new ReplicatedVolumeStatus());
        written.IsSuccess.ShouldBeTrue(written.Body.ToJsonString());
    }

    [Fact]
    public async Task Get_shows_every_column_with_its_value()
    {
        string space = await NewVolumeAsync();
        (await WriteStatusAsync(space, Full)).IsSuccess.ShouldBeTrue();
        string[] lines = (await crd.Admin.OutputAsync("get", "rvol", "-n", space)).TrimEnd().Split('\n');
        Cells(lines[0]).ShouldBe(["NAME", "PHASE", "PRIMARY", "SECONDARY", "SYNC", "CHECKPOINT", "SIZE", "AGE"]);
        string[] row = Cells(lines[1]);
        row[..5].ShouldBe(["disk", "Protected", "node-a", "node-b", "InSync"]);
        row[5].ShouldMatch("^[0-9]+m[0-9]*s?$");
        row[6].ShouldBe("1Gi");
        row[7].ShouldMatch("^[0-9]+[sm]");

        string[] wide = (await crd.Admin.OutputAsync("get", "rvol", "-n", space, "-o", "wide")).TrimEnd().Split('\n');
        Cells(wide[0])[8..].ShouldBe(["MODE", "POOL", "TERM", "MESSAGE"]);
        Cells(wide[1])[8..11].ShouldBe(["HighAvailability", "default", "7"]);
        wide[1].TrimEnd().ShouldEndWith(Full.Message);
    }

    [Fact]
    public async Task Each_column_s_JSONPath_prints_a_value_by_itself()
    {
        string space = await NewVolumeAsync();
        await WriteStatusAsync(space, Full);
        foreach (Kubernetes.Crd.CrdColumn column in Operator.Crd.ReplicatedVolumeCrd.Description.Versions[0].Columns)
        {
            (await crd.Admin.OutputAsync("get", "rvol", "disk", "-n", space, "-o", $"jsonpath={{{column.JsonPath}}}")).Trim()
                .ShouldNotBeEmpty(column.Name);
        }
    }

    [Fact]
    public async Task Wait_returns_when_the_condition_becomes_true()
    {
        string space = await NewVolumeAsync();
        await WriteConditionAsync(space, "False");
        (await crd.Admin.RunAsync("wait", "--for=condition=Protected", "rvol/disk", "-n", space, "--timeout=1s")).ExitCode.ShouldNotBe(0);
        Task<ToolResult> waiting = crd.Admin.RunAsync("wait", "--for=condition=Protected", "rvol/disk", "-n", space, "--timeout=60s");
        await WriteConditionAsync(space, "True");
        (await waiting).EnsureSuccess().ShouldContain("condition met");
    }

    [Theory]
    [InlineData("{'phase': 'Fine'}", "status.phase: Unsupported value")]
    [InlineData("{'conditions': [{'type': 'Ready', 'status': 'Maybe', 'reason': 'x'}]}", "status.conditions.status: Unsupported value")]
    [InlineData("{'conditions': [{'type': 'Ready', 'status': 'True'}]}", "status.conditions.reason: Required value")]
    [InlineData("{'replicas': [{'role': 'Primary'}]}", "status.replicas.node: Required value")]
    [InlineData("{'checkpoint': {'lastTime': 'noon'}}", "status.checkpoint.lastTime: Invalid value: \"noon\"")]
    public async Task A_status_that_no_operator_writes_is_refused(string status, string says)
    {
        string space = await NewVolumeAsync();
        KubeAnswer answer = await crd.PatchAsync(space, "disk", $"{{\"status\": {status.Replace('\'', '"')}}}", "/status");
        answer.IsSuccess.ShouldBeFalse();

        // Servers of today name the item of a list too.
        answer.Causes.ShouldContain(c => c.Replace("[0]", "", StringComparison.Ordinal).StartsWith(says, StringComparison.Ordinal), answer.Body.ToJsonString());
    }

    private async Task<string> NewVolumeAsync()
    {
        string space = await crd.NewNamespaceAsync();
        (await crd.CreateAsync(space, Given.Volume("{'size': '1Gi'}"))).IsSuccess.ShouldBeTrue();
        return space;
    }

    private Task<KubeAnswer> WriteStatusAsync(string space, ReplicatedVolumeStatus status) =>
        crd.PatchAsync(space, "disk", new JsonObject { ["status"] = JsonSerializer.SerializeToNode(status, VolumeDocument.JsonOptions) }.ToJsonString(), "/status");

    private Task WriteConditionAsync(string space, string holds) =>
        WriteStatusAsync(space, Full with { Conditions = [new() { Type = ConditionType.Protected, Status = holds, Reason = "Test" }] });

    private static long Generation(KubeAnswer answer) => answer.Body["metadata"]!["generation"]!.GetValue<long>();

    private static string[] Cells(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
