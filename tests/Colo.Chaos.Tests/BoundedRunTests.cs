using Colo.Testing;

namespace Colo.Chaos.Tests;

/// <summary>
/// A handful of rounds, in a process of its own. The seed is another one each time and printed; `make chaos SEED=s` repeats its schedule.
/// Without root it has neither network namespaces nor disks that fail, and kills and freezes processes only.
/// </summary>
public sealed class BoundedRunTests(ITestOutputHelper output)
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "colo-chaos.dll");

    [Fact]
    public async Task Whatever_happens_to_agents_operator_arbiter_links_and_disks_no_acknowledged_write_is_lost()
    {
        ToolResult result = await Tool.RunAsync("dotnet", [Program, "--rounds", "3", "--seconds", "40"], TimeSpan.FromMinutes(8));
        output.WriteLine(result.Output);
        result.EnsureSuccess();
        result.Output.ShouldContain("writes acknowledged");
    }
}
