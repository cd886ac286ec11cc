using Colo.Simulation.Mutants;
using Colo.Testing;

namespace Colo.Simulation.Tests;

/// <summary>Each planted bug is found: what would let one of these pass would let the like of it pass in the product.</summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    private const string MostSeeds = "150";

    public static TheoryData<string> All => [.. Planted.All.Keys];

    [Theory, MemberData(nameof(All))]
    public async Task It_is_found(string mutant)
    {
        ToolResult result = await Simulator.RunAsync("--mutant", mutant, "--seeds", MostSeeds, "--stop");
        output.WriteLine(result.Output);
        result.ExitCode.ShouldBe(1, $"{mutant} was not found within {MostSeeds} seeds");
        result.Output.ShouldContain("FAILED");
    }
}
