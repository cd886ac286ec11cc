namespace Colo.Testing;

/// <summary>
/// Runs a program on a terminal of its own (a pty made by util-linux' script), as a person would see it. What it writes comes back with
/// every escape sequence in it.
/// </summary>
public static class Pty
{
    /// <summary>What a terminal sends for Ctrl-C.</summary>
    private const char Interrupt = '\x03';

    /// <param name="command">A shell's line.</param>
    /// <param name="environment">Set for it; TERM is xterm-256color where not said otherwise, NO_COLOR unset.</param>
    public static async Task<ToolResult> RunAsync(string command, IReadOnlyDictionary<string, string>? environment = null)
    {
        await using RunningTool tool = Start(command, environment);
        return await tool.WaitAsync();
    }

    /// <summary>A terminal of 120 columns. The shell becomes the program: one that stays may die of the Ctrl-C that is for the program.</summary>
    public static RunningTool Start(string command, IReadOnlyDictionary<string, string>? environment = null, int rows = 40)
    {
        Dictionary<string, string> set = new(StringComparer.Ordinal) { ["TERM"] = "xterm-256color", ["NO_COLOR"] = "" };
        foreach ((string key, string value) in environment ?? new Dictionary<string, string>(StringComparer.Ordinal))
        {
            set[key] = value;
        }

        return RunningTool.Start("script", ["-qefc", $"stty cols 120 rows {rows}; exec {command}", "/dev/null"], set);
    }

    public static async Task PressCtrlCAsync(RunningTool onTerminal)
    {
        await onTerminal.Process.StandardInput.WriteAsync(Interrupt);
        await onTerminal.Process.StandardInput.FlushAsync();
    }
}
