namespace Colo.Cli.Local;

/// <summary>Finds colo-agent: what COLO_AGENT names, next to coloctl, or in the build output of the same repository.</summary>
public static class AgentBinary
{
    public const string Variable = "COLO_AGENT";
    private const string Name = "colo-agent";

    public static string Find()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            return File.Exists(named)
                ? Path.GetFullPath(named)
                : throw new CommandException(ExitCode.Usage, $"{Variable} names {named}, which does not exist");
        }

        string beside = Path.Combine(AppContext.BaseDirectory, Name);
        if (File.Exists(beside) && File.Exists(beside + ".dll"))
        {
            return beside;
        }

        return FromBuildOutput() ?? throw new CommandException(
            ExitCode.Usage, $"{Name} is neither next to coloctl nor built in this repository; name it in {Variable}");
    }

    /// <summary>.../src/Colo.Cli/bin/Release/net10.0 -> .../src/Colo.Agent/bin/Release/net10.0.</summary>
    private static string? FromBuildOutput()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            string src = Path.Combine(at.FullName, "src", "Colo.Agent", "bin");
            if (!Directory.Exists(src))
            {
                continue;
            }

            string framework = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
            string mine = AppContext.BaseDirectory.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug";
            string[] order = mine == "Release" ? ["Release", "Debug"] : ["Debug", "Release"];
            return order.Select(c => Path.Combine(src, c, framework, Name)).FirstOrDefault(File.Exists);
        }

        return null;
    }
}
