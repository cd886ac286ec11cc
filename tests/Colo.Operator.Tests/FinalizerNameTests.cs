using Colo.Operator.Volumes;

namespace Colo.Operator.Tests;

public sealed class FinalizerNameTests
{
    [Fact]
    public void A_long_node_name_is_shortened_and_found_again_among_known_nodes()
    {
        string node = new string('n', 80) + ".example.com";
        string other = new string('n', 80) + ".example.org";
        string finalizer = VolumeFinalizers.OfNode(node);
        finalizer.Split('/')[1].Length.ShouldBe(63);
        VolumeFinalizers.OfNode(other).ShouldNotBe(finalizer);
        VolumeFinalizers.NodesOf([finalizer, "example.com/foreign", VolumeFinalizers.Operator], [other, node]).ShouldBe([node]);
    }

    [Fact]
    public void A_short_one_needs_nobody_to_know_it() =>
        VolumeFinalizers.NodesOf([VolumeFinalizers.OfNode("node-a")], []).ShouldBe(["node-a"]);
}
