using System.Globalization;
using Spectre.Console;

namespace Colo.Cli.Status;

/// <summary>
/// Where text for people goes. Colours only on a terminal: what a build server sets in its environment must not put escape sequences
/// into a pipe. NO_COLOR (no-color.org) and TERM=dumb are honoured.
/// </summary>
internal static class Terminal
{
    /// <summary>Nobody's window: lines such as URIs must stay whole for whoever cuts them.</summary>
    private const int WidthOfAPipe = 250;

    public static IAnsiConsole Output { get; } = Create(new AnsiConsoleOutput(Console.Out), IsTerminal ? null : WidthOfAPipe);

    public static bool IsTerminal => !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") != "dumb";

    /// <summary>What <paramref name="render"/> draws, with the colours that the output would have.</summary>
    public static string Capture(Action<IAnsiConsole> render, int width)
    {
        using StringWriter text = new(CultureInfo.InvariantCulture) { NewLine = "\n" };
        render(Create(new AnsiConsoleOutput(text), width));
        return text.ToString();
    }

    private static IAnsiConsole Create(IAnsiConsoleOutput output, int? width)
    {
        // Told outright: Spectre looks at the writer, and a captured frame goes to the same terminal in the end.
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = output,
            Ansi = IsTerminal ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = Colours(),
            Interactive = InteractionSupport.No,
            Enrichment = new ProfileEnrichment { UseDefaultEnrichers = false },
        });
        if (width is { } columns)
        {
            console.Profile.Width = columns;
        }

        return console;
    }

    private static ColorSystemSupport Colours()
    {
        // Set to nothing means not set (no-color.org); Spectre reads it otherwise.
        if (!IsTerminal || !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR")))
        {
            return ColorSystemSupport.NoColors;
        }

        bool many = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("COLORTERM")) ||
            Environment.GetEnvironmentVariable("TERM")?.Contains("256color", StringComparison.Ordinal) == true;
        return many ? ColorSystemSupport.EightBit : ColorSystemSupport.Standard;
    }
}
