using System.Reflection;
using NetArchTest.Rules;

namespace Colo.Architecture.Tests;

/// <summary>The one rule of src/README.md: arrows point down, siblings never meet, the planes meet in Colo.AgentApi alone.</summary>
public sealed class WhoMayCallWhomTests
{
    private static readonly Dictionary<string, string[]> Allowed = new(StringComparer.Ordinal)
    {
        ["Colo.Blocks"] = [],
        ["Colo.Linux"] = ["Colo.Blocks"],
        ["Colo.Nbd"] = ["Colo.Blocks"],
        ["Colo.Qcow2"] = ["Colo.Blocks"],
        ["Colo.Replication"] = ["Colo.Blocks"],
        ["Colo.AgentApi"] = [],
        ["Colo.Agent"] = ["Colo.AgentApi", "Colo.Blocks", "Colo.Linux", "Colo.Nbd", "Colo.Qcow2", "Colo.Replication"],
        ["Colo.Api"] = [],
        ["Colo.Control"] = ["Colo.Api"],
        ["Colo.Driver"] = ["Colo.AgentApi", "Colo.Api", "Colo.Control"],
        ["Colo.Kubernetes"] = [],
        ["Colo.Cli"] = ["Colo.AgentApi", "Colo.Api", "Colo.Control", "Colo.Driver", "Colo.Kubernetes"],
        ["Colo.Operator"] = ["Colo.AgentApi", "Colo.Api", "Colo.Control", "Colo.Driver", "Colo.Kubernetes"],
    };

    /// <summary>Rooms that get everything handed in; only executables compose.</summary>
    private static readonly string[] Libraries =
        ["Colo.Blocks", "Colo.Linux", "Colo.Nbd", "Colo.Qcow2", "Colo.Replication", "Colo.AgentApi", "Colo.Api", "Colo.Control",
            "Colo.Driver", "Colo.Kubernetes"];

    public static TheoryData<string> AllRooms => [.. Repository.Rooms.Keys.Order(StringComparer.Ordinal)];

    public static TheoryData<string> LibraryRooms => [.. Libraries];

    [Theory, MemberData(nameof(AllRooms))]
    public void A_project_references_only_what_its_room_may_call(string room)
    {
        Allowed.ShouldContainKey(room, "a new room says here whom it may call");
        Repository.ProjectReferences(room).Except(Allowed[room], StringComparer.Ordinal).ShouldBeEmpty();
    }

    [Theory, MemberData(nameof(AllRooms))]
    public void No_type_reaches_into_a_room_that_it_may_not_call(string room)
    {
        string[] forbidden = [.. Allowed.Keys.Except([room, .. Allowed[room]], StringComparer.Ordinal)];
        foreach (string other in forbidden)
        {
            NetArchTest.Rules.TestResult result = Types.InAssembly(Repository.Assembly(room))
                .That().ResideInNamespaceStartingWith("Colo.")
                .ShouldNot().HaveDependencyOn(other)
                .GetResult();
            result.IsSuccessful.ShouldBeTrue($"{room} -> {other}: {string.Join(", ", result.FailingTypeNames ?? [])}");
        }
    }

    [Fact]
    public void The_dependency_search_sees_a_dependency_that_is_there_and_takes_no_name_for_another()
    {
        PredicateList types = Types.InAssembly(Repository.Assembly("Colo.Linux")).That().HaveDependencyOn("Colo.Blocks");
        types.GetTypes().Select(t => t.Name).ShouldContain("RawFile");
        Types.InAssembly(Repository.Assembly("Colo.Linux")).That().HaveDependencyOn("Colo.Block").GetTypes().ShouldBeEmpty();
    }

    [Theory, MemberData(nameof(LibraryRooms))]
    public void A_library_does_not_compose(string room)
    {
        string[] composition = ["Microsoft.Extensions.DependencyInjection", "Microsoft.Extensions.Hosting", "Microsoft.Extensions.Options",
            "Microsoft.Extensions.Configuration"];
        References(room).Where(r => composition.Any(c => r.StartsWith(c, StringComparison.Ordinal))).ShouldBeEmpty();
    }

    [Fact]
    public void Blocks_needs_nothing_but_the_base_class_library() =>
        References("Colo.Blocks").ShouldAllBe(r => r.StartsWith("System.", StringComparison.Ordinal) || r == "netstandard");

    [Fact]
    public void Control_decides_without_IO_and_without_a_clock()
    {
        NetArchTest.Rules.TestResult result = Types.InAssembly(Repository.Assembly("Colo.Control"))
            .ShouldNot().HaveDependencyOnAny(
                "System.IO.File", "System.IO.Directory", "System.IO.FileStream", "System.Net", "System.Diagnostics.Process",
                "System.Diagnostics.Stopwatch", "System.TimeProvider", "System.Threading.Thread", "System.Threading.Timer")
            .GetResult();
        result.IsSuccessful.ShouldBeTrue(string.Join(", ", result.FailingTypeNames ?? []));
    }

    private static IEnumerable<string> References(string room) =>
        Repository.Assembly(room).GetReferencedAssemblies().Select(r => r.Name!);
}
