using Colo.Testing;

namespace Colo.Chaos.Tests;

/// <summary>
/// The first rounds of one seed, in a process of its own: they show that the means of `make chaos` work; to look for what nobody has seen is
/// for its long runs.
/// Without root it has neither network namespaces nor disks that fail, and kills and freezes processes only.
/// </summary>
public sealed class BoundedRunTests(ITestOutputHelper output)
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "colo-chaos.dll");

    [Fact]
    public async Task Whatever_happens_to_agents_operator_arbiter_links_and_disks_no_acknowledged_write_is_lost()
    {
        ToolResult result = await Tool.RunAsync("dotnet", [Program, "--seed", "2", "--rounds", "3", "--seconds", "40"], TimeSpan.FromMinutes(8));
        output.WriteLine(result.Output);
        string wrong = string.Join('\n', result.Output.Split('\n').Where(l => l.Contains("WRONG", StringComparison.Ordinal)).Append(result.Error));
        result.ExitCode.ShouldBe(0, wrong);
        result.Output.ShouldContain("writes acknowledged");
    }
}
