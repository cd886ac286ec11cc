using System.Text.RegularExpressions;

namespace Colo.Architecture.Tests;

/// <summary>SECURITY.md names tests and bounds: each of them exists under that name.</summary>
public sealed partial class SecurityPageTests
{
    private static readonly string Page = File.ReadAllText(Path.Combine(Repository.Root, "SECURITY.md"));

    public static TheoryData<string, string> Named =>
        new(Names().Matches(Page).Select(m => (m.Groups["type"].Value, m.Groups["member"].Value)).Distinct());

    [Theory, MemberData(nameof(Named))]
    public void What_it_names_exists(string type, string member)
    {
        string folder = Path.Combine(Repository.Root, type.EndsWith("Tests", StringComparison.Ordinal) ? "tests" : "src");
        Repository.SourceFiles(folder)
            .Select(File.ReadAllText)
            .Any(text => Regex.IsMatch(text, $@"\b(class|record) {type}\b") && Regex.IsMatch(text, $@"\b{member}\b"))
            .ShouldBeTrue($"{type}.{member} is named, and is nowhere under {folder}");
    }

    [Fact]
    public void It_names_more_than_a_few() => Named.Count.ShouldBeGreaterThan(30);

    [GeneratedRegex(@"`(?<type>[A-Z]\w+)\.(?<member>[A-Z]\w+)`", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Names();
}
