using System.CommandLine;
using System.CommandLine.Completions;

namespace Colo.Cli.Commands;

/// <summary>
/// Completion in the shell. The scripts call back with what is typed so far; kubectl does the same through a program named
/// kubectl_complete-colo in PATH, which is a link to this one.
/// </summary>
internal static class CompletionCommand
{
    /// <summary>First argument of the call back; the words after the program's name follow, the one to complete last.</summary>
    public const string CallBack = "__complete";

    /// <summary>kubectl's word for "and no file names".</summary>
    private const string NoFiles = ":4";

    private static readonly Dictionary<string, string> Scripts = new(StringComparer.Ordinal)
    {
        ["bash"] =
            """
            _coloctl() {
              local IFS=$'\n'
              COMPREPLY=($(coloctl __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
            }
            complete -F _coloctl coloctl
            """,
        ["zsh"] =
            """
            _coloctl() {
              local -a found
              found=(${(f)"$(coloctl __complete "${(@)words[2,$CURRENT]}" 2>/dev/null)"})
              compadd -a found
            }
            compdef _coloctl coloctl
            """,
        ["fish"] =
            """
            complete -c coloctl -f -a '(coloctl __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
            """,
    };

    public static Command Create()
    {
        Argument<string> shell = new("shell") { Description = string.Join(", ", Scripts.Keys) };
        shell.AcceptOnlyFromAmong([.. Scripts.Keys]);
        Command command = new("completion",
            """
            Print the script that completes commands, options and volume names: source <(coloctl completion bash)

            For `kubectl colo`, put a link named kubectl_complete-colo to coloctl into PATH.
            """)
        {
            shell,
        };
        command.SetAction(parsed => Console.WriteLine(Scripts[parsed.GetValue(shell)!]));
        return command;
    }

    public static int Answer(RootCommand root, string[] words)
    {
        foreach (string candidate in Candidates(root, words))
        {
            Console.WriteLine(candidate);
        }

        if (CalledAs.PluginCompletion)
        {
            Console.WriteLine(NoFiles);
        }

        return ExitCode.Ok;
    }

    internal static IEnumerable<string> Candidates(RootCommand root, string[] words)
    {
        string typed = string.Join(' ', words);
        string word = words.LastOrDefault() ?? "";
        IEnumerable<CompletionItem> all = root.Parse(typed).GetCompletions(typed.Length);
        return all.Select(c => c.Label).Where(l => l.StartsWith(word, StringComparison.Ordinal) && l[0] != '/').Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
    }
}
