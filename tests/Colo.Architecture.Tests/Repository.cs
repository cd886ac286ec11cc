using System.Reflection;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Colo.Architecture.Tests;

/// <summary>The repository as the rules see it: its projects, source files and built rooms.</summary>
internal static partial class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>Name of each project under src/ and its folder.</summary>
    public static IReadOnlyDictionary<string, string> Rooms { get; } = Directory
        .EnumerateFiles(Path.Combine(Root, "src"), "*.csproj", SearchOption.AllDirectories)
        .ToDictionary(p => Path.GetFileNameWithoutExtension(p), p => Path.GetDirectoryName(p)!, StringComparer.Ordinal);

    public static IEnumerable<string> SourceFiles(string folder) => Directory
        .EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories)
        .Where(p => !p.Contains("/obj/", StringComparison.Ordinal) && !p.Contains("/bin/", StringComparison.Ordinal));

    public static IEnumerable<string> ProjectReferences(string room) =>
        Project(room).Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value));

    public static XDocument Project(string room) => XDocument.Load(Path.Combine(Rooms[room], room + ".csproj"));

    public static Assembly Assembly(string room)
    {
        string name = Project(room).Descendants("AssemblyName").SingleOrDefault()?.Value ?? room;
        return System.Reflection.Assembly.LoadFrom(Path.Combine(AppContext.BaseDirectory, name + ".dll"));
    }

    /// <summary>Lines of code with what is said in comments taken out, as (path and line number, text).</summary>
    public static IEnumerable<(string Where, string Code)> CodeLines(string folder) =>
        from file in SourceFiles(folder)
        from line in File.ReadLines(file).Select((text, index) => (text, index))
        select ($"{Path.GetRelativePath(Root, file)}:{line.index + 1}", Comment().Replace(line.text, string.Empty));

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "ColoOperator.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("these tests read the repository: run them from its build output");
    }

    [GeneratedRegex(@"(?<![:""])//.*$", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Comment();
}
