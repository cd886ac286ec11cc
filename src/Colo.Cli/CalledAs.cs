namespace Colo.Cli;

/// <summary>
/// Under which name this process was started. One executable serves as coloctl and, by a link named kubectl-colo in PATH, as
/// `kubectl colo`; kubectl asks a program named kubectl_complete-colo for completions.
/// </summary>
internal static class CalledAs
{
    private static readonly string Program = FirstArgument();

    public static bool Plugin => Program == "kubectl-colo";

    public static bool PluginCompletion => Program == "kubectl_complete-colo";

    /// <summary>What a person types to call it again.</summary>
    public static string Command => Plugin || PluginCompletion ? "kubectl colo" : "coloctl";

    /// <summary>As the caller gave it: the runtime's own argument list names the assembly, and /proc/self/exe the link's target.</summary>
    private static string FirstArgument()
    {
        string commandLine = File.ReadAllText("/proc/self/cmdline");
        int end = commandLine.IndexOf('\0', StringComparison.Ordinal);
        return Path.GetFileName(end < 0 ? commandLine : commandLine[..end]);
    }
}
