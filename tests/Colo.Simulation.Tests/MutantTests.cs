using Colo.Simulation.Mutants;
using Colo.Testing;

namespace Colo.Simulation.Tests;

/// <summary>Each planted bug is found: what would let one of these pass would let the like of it pass in the product.</summary>
public sealed class MutantTests(ITestOutputHelper output)
{
    private const int MostSeeds = 150;

    /// <summary>Those that take more than a few seeds: which one found it last. It is tried first, to spare time; where the schedule has
    /// changed since, all are.</summary>
    private static readonly Dictionary<string, int> LastFound = new(StringComparer.Ordinal)
    {
        ["adopted-holes-are-data"] = 20,
        ["fenced-goes-on"] = 13,
        ["lineage-term-unchecked"] = 9,
        ["old-term-forwards-taken"] = 13,
        ["peers-life-ignored"] = 28,
        ["peers-map-ignored"] = 43,
        ["secondary-flush-skipped"] = 53,
        ["torn-map-trusted"] = 18,
        ["unknown-taken-for-known"] = 43,
    };

    public static TheoryData<string> All => [.. Planted.All.Keys];

    [Theory, MemberData(nameof(All))]
    public async Task It_is_found(string mutant)
    {
        bool isFound = (LastFound.TryGetValue(mutant, out int seed) && await FindsAsync(mutant, seed, 1)) || await FindsAsync(mutant, 1, MostSeeds);
        isFound.ShouldBeTrue($"{mutant} was not found within {MostSeeds} seeds");
    }

    private async Task<bool> FindsAsync(string mutant, int first, int count)
    {
        ToolResult result = await Simulator.RunAsync("--mutant", mutant, "--first", $"{first}", "--seeds", $"{count}", "--stop");
        output.WriteLine(result.Output);
        result.ExitCode.ShouldBeInRange(0, 1, result.Error);
        return result.ExitCode == 1 && result.Output.Contains("FAILED", StringComparison.Ordinal);
    }
}
