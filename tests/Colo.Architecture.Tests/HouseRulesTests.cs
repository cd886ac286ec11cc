using System.Reflection;
using System.Text.RegularExpressions;

namespace Colo.Architecture.Tests;

/// <summary>Rules on how the code is written that a machine can hold.</summary>
public sealed partial class HouseRulesTests
{
    /// <summary>500 lines need a reason; more have none.</summary>
    private const int MaxFileLines = 500;

    /// <summary>A simulator drives these with its own clock.</summary>
    private static readonly string[] TimedByTheirCaller =
        ["Colo.Blocks", "Colo.Nbd", "Colo.Qcow2", "Colo.Replication", "Colo.Control"];

    public static TheoryData<string> AllRooms => [.. Repository.Rooms.Keys.Order(StringComparer.Ordinal)];

    public static TheoryData<string> AllRoomsButLinux =>
        [.. Repository.Rooms.Keys.Where(r => r != "Colo.Linux").Order(StringComparer.Ordinal)];

    public static TheoryData<string> RoomsWithoutAClock => [.. TimedByTheirCaller];

    [Theory, MemberData(nameof(AllRoomsButLinux))]
    public void Only_Colo_Linux_calls_into_C_or_is_unsafe(string room)
    {
        Lines(Repository.Rooms[room], Native()).ShouldBeEmpty();
        Repository.Project(room).Descendants("AllowUnsafeBlocks").ShouldBeEmpty();
        const BindingFlags All =
            BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
        Repository.Assembly(room).GetTypes()
            .SelectMany(t => t.GetMethods(All))
            .Where(m => (m.Attributes & MethodAttributes.PinvokeImpl) != 0)
            .Select(m => $"{m.DeclaringType}.{m.Name}")
            .ShouldBeEmpty();
    }

    [Theory, MemberData(nameof(RoomsWithoutAClock))]
    public void Time_comes_from_the_TimeProvider_that_was_handed_in(string room) =>
        Lines(Repository.Rooms[room], Clock()).ShouldBeEmpty();

    /// <summary>Colo.Nbd measures microseconds on its sockets (how long to look before it sleeps, how long a request took); nothing
    /// else is decided by it, and no simulator drives a socket.</summary>
    [Theory, MemberData(nameof(RoomsWithoutAClock))]
    public void A_stopwatch_only_measures_sockets(string room) =>
        (room == "Colo.Nbd" ? [] : Lines(Repository.Rooms[room], Watch())).ShouldBeEmpty();

    [Theory, MemberData(nameof(AllRooms))]
    public void No_name_says_only_that_something_is_managed_or_helped(string room) =>
        Repository.Assembly(room).GetTypes()
            .Where(t => t.Namespace?.StartsWith("Colo.", StringComparison.Ordinal) == true && VagueName().IsMatch(t.Name))
            .Select(t => t.FullName)
            .ShouldBeEmpty();

    [Theory]
    [InlineData("src")]
    [InlineData("tests")]
    public void No_file_is_longer_than_500_lines(string folder) =>
        Repository.SourceFiles(Path.Combine(Repository.Root, folder))
            .Select(p => (Path: Path.GetRelativePath(Repository.Root, p), Lines: File.ReadLines(p).Count()))
            .Where(f => f.Lines > MaxFileLines)
            .ShouldBeEmpty();

    [Fact]
    public void No_test_sleeps() =>
        Lines(Path.Combine(Repository.Root, "tests"), Sleep()).ShouldBeEmpty();

    [Fact]
    public void The_rules_would_see_a_violation()
    {
        // A pattern that matches nothing would pass for ever.
        Clock().IsMatch("DateTime.UtcNow").ShouldBeTrue();
        Clock().IsMatch("await Task.Delay(interval, token);").ShouldBeTrue();
        Clock().IsMatch("await Task.Delay(interval, timeProvider, token);").ShouldBeFalse();
        Clock().IsMatch("using CancellationTokenSource limit = new(HandshakeTimeout, time);").ShouldBeFalse();
        Watch().IsMatch("long start = Stopwatch.GetTimestamp();").ShouldBeTrue();
        Native().IsMatch("internal static unsafe class X").ShouldBeTrue();
        Native().IsMatch("[LibraryImport(\"libc\")]").ShouldBeTrue();
        VagueName().IsMatch("VolumeManager").ShouldBeTrue();
        VagueName().IsMatch("StringHelpers").ShouldBeTrue();
        VagueName().IsMatch("Quorum").ShouldBeFalse();
        Sleep().IsMatch("Thread" + ".Sleep(10);").ShouldBeTrue();
    }

    private static IEnumerable<string> Lines(string folder, Regex forbidden) =>
        Repository.CodeLines(folder).Where(l => forbidden.IsMatch(l.Code)).Select(l => $"{l.Where}: {l.Code.Trim()}");

    [GeneratedRegex(@"\bunsafe\b(?!\.)|\bDllImport\b|\bLibraryImport\b", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Native();

    [GeneratedRegex(
        @"DateTime(Offset)?\.(Utc)?Now|DateTime\.Today|Environment\.TickCount|Thread\.Sleep"
        + @"|Task\.Delay\((?!.*\b\w*([tT]ime(Provider)?|[cC]lock)\b)",
        RegexOptions.ExplicitCapture,
        1000)]
    private static partial Regex Clock();

    [GeneratedRegex(@"\bStopwatch\b", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Watch();

    [GeneratedRegex(@"(Managers?|Helpers?|Utils?|Utility|Utilities)$", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex VagueName();

    [GeneratedRegex(@"\bThread\.Sleep\(", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Sleep();
}
