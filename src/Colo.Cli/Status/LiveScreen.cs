using System.Text;
using Spectre.Console;

namespace Colo.Cli.Status;

/// <summary>
/// Shows one picture after another in place, as `watch` does: on the terminal's second screen, each frame written over the one
/// before, so that nothing flickers and nothing scrolls. Disposing it gives the first screen back, with the last frame on it. Where
/// there is no terminal, each frame is printed below the one before.
/// </summary>
internal sealed class LiveScreen : IDisposable
{
    private const string EnterSecondScreen = "\e[?1049h\e[?25l";
    private const string LeaveSecondScreen = "\e[?25h\e[?1049l";
    private const string Home = "\e[H";
    private const string ClearRestOfLine = "\e[K";
    private const string ClearRestOfScreen = "\e[J";

    private readonly bool onTerminal = Terminal.IsTerminal;
    private Action<IAnsiConsole>? last;

    public LiveScreen()
    {
        if (onTerminal)
        {
            Write(EnterSecondScreen);
        }
    }

    public void Show(Action<IAnsiConsole> render)
    {
        if (!onTerminal)
        {
            if (last is not null)
            {
                Console.Out.WriteLine();
            }

            last = render;
            render(Terminal.Output);
            return;
        }

        last = render;
        Write(Frame(Terminal.Capture(render, Size(Console.WindowWidth, 80)), Size(Console.WindowHeight, 24)));
    }

    /// <summary>The text as one write that covers a window of <paramref name="height"/> lines and never scrolls it.</summary>
    internal static string Frame(string text, int height)
    {
        string[] lines = text.TrimEnd('\n').Split('\n');
        int shown = lines.Length <= height ? lines.Length : Math.Max(0, height - 1);
        StringBuilder frame = new(Home);
        for (int i = 0; i < shown; i++)
        {
            frame.Append(i == 0 ? "" : "\r\n").Append(lines[i]).Append(ClearRestOfLine);
        }

        if (shown < lines.Length)
        {
            frame.Append(shown == 0 ? "" : "\r\n").Append($"... {lines.Length - shown} more lines: the window is too low").Append(ClearRestOfLine);
        }

        return frame.Append(ClearRestOfScreen).ToString();
    }

    public void Dispose()
    {
        if (onTerminal)
        {
            Write(LeaveSecondScreen);
            last?.Invoke(Terminal.Output);
        }
    }

    /// <summary>A terminal that does not know its size says 0.</summary>
    private static int Size(int said, int otherwise) => said > 0 ? said : otherwise;

    private static void Write(string text)
    {
        Console.Out.Write(text);
        Console.Out.Flush();
    }
}
