using Colo.Api;

namespace Colo.Control.Tests;

public sealed class PlacementTests
{
    private const long Gigabyte = 1L << 30;

    [Fact]
    public void Replicas_are_spread_over_the_topology_key()
    {
        ReplicatedVolumeSpec spec = Spec(p => p with { TopologyKey = "rack" });
        NodeFacts[] nodes = [Node("a", rack: "1"), Node("b", rack: "1"), Node("c", rack: "2", secondaries: 50)];

        foreach (int volume in Enumerable.Range(0, 50))
        {
            (string primary, string secondary) = Placement.Choose($"uid-{volume}", spec, nodes);
            (primary == "c" || secondary == "c").ShouldBeTrue();
        }
    }

    [Fact]
    public void A_node_without_the_topology_label_is_refused_by_name()
    {
        ReplicatedVolumeSpec spec = Spec(p => p with { TopologyKey = "rack" });

        Refusal(spec, Node("a", rack: "1"), Node("b")).ShouldBe(
            "two nodes are needed; of 2 nodes 1 cannot be used: b: without the label rack of placement.topologyKey; a alone is left");
    }

    [Fact]
    public void Nodes_of_one_domain_alone_are_told_which()
    {
        ReplicatedVolumeSpec spec = Spec(p => p with { TopologyKey = "rack" });

        Refusal(spec, Node("a", rack: "1"), Node("b", rack: "1")).ShouldBe("two nodes are needed; of 2 nodes 0 cannot be used; a, b all have rack=1");
    }

    [Fact]
    public void Each_refused_node_is_named_with_its_reason_and_equal_reasons_together()
    {
        ReplicatedVolumeSpec spec = Spec(p => p with { NodeSelector = new Dictionary<string, string>(StringComparer.Ordinal) { ["disk"] = "ssd" } });
        NodeFacts Ssd(string name) => Node(name) with { Labels = new Dictionary<string, string>(StringComparer.Ordinal) { ["disk"] = "ssd" } };

        string text = Refusal(
            spec, Node("a"), Node("b"), Ssd("c") with { Schedulable = false }, Ssd("d") with { AgentAnswers = false }, Ssd("e") with { Excluded = true },
            Ssd("f") with { Pools = new Dictionary<string, PoolFacts>(StringComparer.Ordinal) }, Ssd("g") with { Pools = Pool(Gigabyte - 1) },
            Ssd("h") with { Pools = Pool(Gigabyte, healthy: false) }, Ssd("i"));

        text.ShouldContain("of 9 nodes 8 cannot be used");
        text.ShouldContain("a, b: without disk=ssd of placement.nodeSelector");
        text.ShouldContain("c: cordoned");
        text.ShouldContain("d: its agent does not answer");
        text.ShouldContain("e: excluded from placement");
        text.ShouldContain("f: has no storage pool 'default'");
        text.ShouldContain("g: less than 1Gi left in storage pool 'default'");
        text.ShouldContain("h: its storage pool 'default' fails its probe");
        text.ShouldEndWith("; i alone is left");
    }

    [Fact]
    public void A_message_does_not_grow_with_the_cluster() =>
        Refusal(Spec(), [.. Enumerable.Range(0, 200).Select(i => Node($"node-{i:000}") with { Schedulable = false })])
            .ShouldBe("two nodes are needed; of 200 nodes 200 cannot be used: node-000, node-001, node-002, node-003, node-004, node-005, node-006, " +
                "node-007, node-008, node-009 and 190 more: cordoned");

    [Fact]
    public void Preferences_are_followed_where_they_can_be()
    {
        NodeFacts[] nodes = [Node("a"), Node("b"), Node("c", primaries: 30)];
        ReplicatedVolumeSpec spec = Spec(p => p with { PrimaryNode = "c", SecondaryNode = "b" });

        Placement.Choose("uid", spec, nodes).ShouldBe(("c", "b"));
        Placement.Choose("uid", spec, [nodes[0], nodes[1], nodes[2] with { Schedulable = false }]).Secondary.ShouldBe("b");
    }

    [Fact]
    public void A_preference_for_a_node_that_is_not_there_is_refused() =>
        Refusal(Spec(p => p with { PrimaryNode = "z" }), Node("a"), Node("b")).ShouldBe("placement.primaryNode: 'z' is not one of a, b");

    [Fact]
    public void Load_is_balanced_and_zones_differ_where_they_can()
    {
        NodeFacts Zoned(string name, string zone, int primaries = 0) => Node(name, primaries: primaries) with
        {
            Labels = new Dictionary<string, string>(StringComparer.Ordinal) { [Placement.ZoneLabel] = zone },
        };

        Placement.Choose("uid", Spec(), [Zoned("a", "1", 5), Zoned("b", "1", 5), Zoned("c", "2", 3), Zoned("d", "2", 9)])
            .ShouldBeOneOf(("c", "a"), ("c", "b"));
    }

    [Fact]
    public void Many_volumes_made_at_once_do_not_all_land_on_the_first_node()
    {
        NodeFacts[] nodes = [.. Enumerable.Range(0, 10).Select(i => Node($"n{i}"))];

        Dictionary<string, int> primaries = Enumerable.Range(0, 1000).Select(i => Placement.Choose(Guid(i), Spec(), nodes).Primary)
            .CountBy(n => n).ToDictionary();

        primaries.Count.ShouldBe(10);
        primaries.Values.Max().ShouldBeLessThan(250);
    }

    [Fact]
    public void Without_two_nodes_nothing_is_recorded_and_the_reason_is_a_condition()
    {
        VolumeInput input = new(Given.Uid, Given.Spec(), null, [], VolumeIntent.None) { Candidates = [Node("a"), Node("b") with { Schedulable = false }] };

        VolumePlan plan = VolumeReconciler.Plan(input);

        plan.Situation.ShouldBe(VolumeSituation.Unplaced);
        plan.Actions.ShouldBeEmpty();
        VolumeCondition condition = VolumeConditions.Of(plan, input).Single(c => c.Type == ConditionType.SpecApplied);
        (condition.Status, condition.Reason).ShouldBe(("False", "NoPlacement"));
        condition.Message.ShouldContain("b: cordoned");
    }

    internal static NodeFacts Node(string name, string? rack = null, int primaries = 0, int secondaries = 0) => new(name)
    {
        AgentAnswers = true,
        Labels = rack is null ? [] : new Dictionary<string, string>(StringComparer.Ordinal) { ["rack"] = rack },
        Pools = Pool(Gigabyte * 100),
        Primaries = primaries,
        Secondaries = secondaries,
    };

    private static Dictionary<string, PoolFacts> Pool(long free, bool healthy = true) =>
        new(StringComparer.Ordinal) { ["default"] = new(free, healthy) };

    private static string Guid(int seed) => new Guid(seed, (short)seed, 7, [1, 2, 3, 4, 5, 6, (byte)seed, 8]).ToString();

    private static ReplicatedVolumeSpec Spec(Func<PlacementSpec, PlacementSpec>? change = null) =>
        Given.Spec() with { Placement = change is null ? new PlacementSpec() : change(new PlacementSpec()) };

    private static string Refusal(ReplicatedVolumeSpec spec, params NodeFacts[] nodes) =>
        Should.Throw<PlacementException>(() => Placement.Choose("uid", spec, nodes)).Message;
}
