using System.CommandLine;
using Colo.Api;
using Colo.Cli.Local;

namespace Colo.Cli.Commands;

/// <summary>Options that several commands share, made anew for each, so that help shows them where they belong.</summary>
internal static class CommonOptions
{
    public static readonly Option<DirectoryInfo> Dir = new("--dir")
    {
        Description = "Where everything of this installation stands",
        HelpName = "DIR",
        DefaultValueFactory = _ => new DirectoryInfo(LocalLayout.DefaultDirectory()),
        Recursive = true,
    };

    public static Argument<string?> Volume() => new("volume")
    {
        Description = "The volume's name; may be left out where there is only one",
        Arity = ArgumentArity.ZeroOrOne,
    };

    public static Option<Duration> Timeout(string what, double seconds) => new("--timeout")
    {
        Description = what,
        HelpName = "30s",
        DefaultValueFactory = _ => Duration.FromSeconds(seconds),
        CustomParser = result =>
        {
            string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (!Duration.TryParse(text, out Duration duration))
            {
                result.AddError($"--timeout: '{text}' is not a duration: {Duration.Allowed}");
            }

            return duration;
        },
    };

    /// <summary>An option that is one of an enum's names; the message lists them all, and not the type.</summary>
    public static Option<T?> Choice<T>(string description, params string[] names)
        where T : struct, Enum => new(names[0], names[1..])
        {
            Description = description,
            HelpName = string.Join('|', Enum.GetNames<T>()),
            CustomParser = result =>
            {
                string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                if (Enum.TryParse(text, ignoreCase: true, out T value) && Enum.IsDefined(value) && !char.IsAsciiDigit(text[0]))
                {
                    return value;
                }

                result.AddError($"{names[0]}: '{text}' is not one of {string.Join(", ", Enum.GetNames<T>())}");
                return null;
            },
        };

    public static LocalLayout Layout(this ParseResult parsed) => new(parsed.GetValue(Dir)!.FullName);
}
