using System.Globalization;
using System.Text.RegularExpressions;
using Colo.Testing;

namespace Colo.Fuzz.Tests;

/// <summary>
/// The fuzzer's bounded run, in a process of its own: even a stack overflow or a heap that is full fails here and nowhere else. The
/// seed is another one each time and printed; `colo-fuzz` with it repeats the run.
/// </summary>
public sealed partial class BoundedRunTests(ITestOutputHelper output)
{
    private const int Seconds = 28;

    /// <summary>Tens of thousands are usual; a machine so busy that it makes fewer than these has tested nothing.</summary>
    private const long LeastExecutions = 10;

    private static readonly string Fuzzer = Path.Combine(AppContext.BaseDirectory, "colo-fuzz.dll");

    [Fact]
    public async Task Hostile_bytes_at_every_door_give_a_clear_error_no_crash_no_hang_and_bounded_memory()
    {
        ToolResult result = await Tool.RunAsync(
            "dotnet",
            [Fuzzer, "--seconds", Seconds.ToString(CultureInfo.InvariantCulture), "--out", AppContext.BaseDirectory],
            TimeSpan.FromMinutes(5));
        output.WriteLine(result.Output);
        result.EnsureSuccess();
        Dictionary<string, long> executions = Executions().Matches(result.Output).ToDictionary(
            m => m.Groups["target"].Value, m => long.Parse(m.Groups["count"].Value, CultureInfo.InvariantCulture), StringComparer.Ordinal);
        executions.Keys.ShouldBe(
            ["server-handshake", "server-transmission", "client-handshake", "client-replies", "qcow2", "agent-state", "agent-requests"], ignoreOrder: true);
        executions.Values.ShouldAllBe(count => count > LeastExecutions);
    }

    [Fact]
    public async Task The_same_seed_and_number_make_the_same_input()
    {
        // A finding that cannot be had again is none: two processes, one seed, and a target that says what it reached.
        string[] words = [Fuzzer, "--target", "qcow2", "--seed", "12345", "--only", "77"];
        string first = (await Tool.RunAsync("dotnet", words)).EnsureSuccess();
        string second = (await Tool.RunAsync("dotnet", words)).EnsureSuccess();
        first.ShouldContain("input ");
        second.ShouldBe(first);
    }

    [Theory]
    [InlineData("crash", 1)]
    [InlineData("crash elsewhere", -1)]
    [InlineData("allocate", 1)]
    [InlineData("hang", 2)]
    [InlineData("nothing", 0)]
    public async Task The_driver_notices_what_it_is_there_to_notice(string behaviour, int exit)
    {
        using TempDirectory directory = new();
        await File.WriteAllTextAsync(directory.File("input"), behaviour);
        ToolResult result = await Tool.RunAsync(
            "dotnet",
            Fuzzer, "--target", "canary", "--replay", directory.File("input"), "--hang-seconds", "2", "--out", directory.Path);
        (exit < 0 ? result.ExitCode != 0 : result.ExitCode == exit).ShouldBeTrue($"exit {result.ExitCode}\n{result.Output}{result.Error}");
        if (exit != 0)
        {
            result.Output.ShouldContain("FAILED");
            string saved = Directory.GetFiles(directory.Path, "fuzz-*.bin").ShouldHaveSingleItem();
            (await File.ReadAllTextAsync(saved)).ShouldBe(behaviour);
        }
    }

    [Theory]
    [InlineData("--target", "nothing")]
    [InlineData("--seed", "x")]
    [InlineData("--only", "1")]
    [InlineData("--seconds")]
    public async Task A_wrong_word_is_refused_with_the_usage(params string[] words)
    {
        ToolResult result = await Tool.RunAsync("dotnet", [Fuzzer, .. words]);
        result.ExitCode.ShouldBe(64);
        result.Error.ShouldContain("--target");
    }

    [GeneratedRegex(@"^(?<target>[\w-]+): (?<count>\d+) executions", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Executions();
}
