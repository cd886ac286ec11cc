using System.Runtime.CompilerServices;

namespace Colo.Control.Tests;

public sealed class ReadmeTableTests
{
    [Theory]
    [InlineData(typeof(VolumeSituation))]
    [InlineData(typeof(SwitchoverStep))]
    public void The_table_of_the_README_has_exactly_the_states_of_the_code(Type states)
    {
        IEnumerable<string> firstCells = File.ReadLines(Readme()).Where(l => l.StartsWith("| ", StringComparison.Ordinal)).Select(l => l.Split('|')[1].Trim());

        string[] names = Enum.GetNames(states);
        firstCells.Intersect(names, StringComparer.Ordinal).ShouldBe(names, ignoreOrder: true);
    }

    [Fact]
    public void The_README_names_no_situation_that_the_code_does_not_have()
    {
        string[] known = [.. Enum.GetNames<VolumeSituation>(), .. Enum.GetNames<SwitchoverStep>(), "situation", "step"];

        File.ReadLines(Readme()).Where(l => l.StartsWith("| ", StringComparison.Ordinal)).Select(l => l.Split('|')[1].Trim())
            .ShouldAllBe(cell => known.Contains(cell));
    }

    private static string Readme([CallerFilePath] string here = "") =>
        Path.Combine(Path.GetDirectoryName(here)!, "..", "..", "src", "Colo.Control", "README.md");
}
