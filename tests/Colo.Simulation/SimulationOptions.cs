using System.Globalization;

namespace Colo.Simulation;

/// <summary>The words of the command line.</summary>
internal sealed record SimulationOptions
{
    private const string Usage = """
        Colo.Simulation [--first SEED] [--seeds N] [--seconds S] [--mutant NAME] [--stop] [--each] [--coverage]
        Colo.Simulation --seed SEED [--without 3,5] [--trace] [--mutant NAME]
        """;

    public long FirstSeed { get; private set; } = 1;

    public long Seeds { get; private set; } = 100;

    /// <summary>No further seed is begun after it.</summary>
    public TimeSpan? Limit { get; private set; }

    public string? Mutant { get; private set; }

    /// <summary>Numbers of the schedule's faults that are left out.</summary>
    public IReadOnlyList<int> Without { get; private set; } = [];

    public bool ShowsTrace { get; private set; }

    public bool ShowsEach { get; private set; }

    public bool ShowsCoverage { get; private set; }

    public bool StopsAtFirst { get; private set; }

    public bool Minimises { get; private set; } = true;

    public static SimulationOptions? Parse(string[] words, TextWriter errors)
    {
        SimulationOptions options = new();
        try
        {
            for (int i = 0; i < words.Length; i++)
            {
                string Next() => i + 1 < words.Length ? words[++i] : throw new FormatException($"{words[i]} wants a value");
                switch (words[i])
                {
                    case "--seed":
                        (options.FirstSeed, options.Seeds, options.ShowsEach) = (Number(Next()), 1, true);
                        break;
                    case "--first":
                        options.FirstSeed = Number(Next());
                        break;
                    case "--seeds":
                        options.Seeds = Number(Next());
                        break;
                    case "--seconds":
                        options.Limit = TimeSpan.FromSeconds(Number(Next()));
                        break;
                    case "--mutant":
                        options.Mutant = Next();
                        _ = Mutants.Mutant.Named(options.Mutant);
                        break;
                    case "--without":
                        options.Without = [.. Next().Split(',', StringSplitOptions.RemoveEmptyEntries).Select(n => (int)Number(n))];
                        break;
                    case "--trace":
                        options.ShowsTrace = true;
                        break;
                    case "--each":
                        options.ShowsEach = true;
                        break;
                    case "--coverage":
                        options.ShowsCoverage = true;
                        break;
                    case "--stop":
                        options.StopsAtFirst = true;
                        break;
                    case "--as-it-is":
                        options.Minimises = false;
                        break;
                    default:
                        throw new FormatException($"what is {words[i]}?");
                }
            }

            return options;
        }
        catch (FormatException e)
        {
            errors.WriteLine(e.Message);
            errors.WriteLine(Usage);
            return null;
        }
    }

    private static long Number(string word) => long.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
        ? number
        : throw new FormatException($"{word} is no number");
}
