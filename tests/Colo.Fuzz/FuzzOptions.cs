using System.Globalization;

namespace Colo.Fuzz;

/// <summary>What the command line asks for.</summary>
internal sealed record FuzzOptions
{
    public const string AllTargets = "all";

    public const int ExitFailed = 1;
    public const int ExitHang = 2;
    public const int ExitUsage = 64;

    public const string Usage = """
        colo-fuzz [--target NAME|all] [--seconds N] [--seed S]   mutates the corpus; exit 1: crash, 2: hang (input saved, seed printed)
        colo-fuzz --target NAME --seed S --only N                 runs execution N of that seed alone
        colo-fuzz --target NAME --replay FILE                     runs one saved input
        colo-fuzz --target NAME --afl                             reads inputs from AFL (SharpFuzz, out of process)
        colo-fuzz --make-corpus FOLDER                            records seeds from real clients, servers and qemu-img
        also: --corpus FOLDER (default: beside the program), --out FOLDER (failing inputs; default: here), --hang-seconds N (default 30)
        """;

    public string Target { get; private set; } = AllTargets;

    public TimeSpan Duration { get; private set; } = TimeSpan.FromSeconds(20);

    /// <summary>A hang detector, far above the milliseconds that an input takes on a busy machine.</summary>
    public TimeSpan HangAfter { get; private set; } = TimeSpan.FromSeconds(30);

    public ulong Seed { get; private set; } = (ulong)Random.Shared.NextInt64();

    public long? Only { get; private set; }

    public string? Replay { get; private set; }

    public bool Afl { get; private set; }

    public string? MakeCorpus { get; private set; }

    public string Corpus { get; private set; } = Path.Combine(AppContext.BaseDirectory, "Corpus");

    public string Out { get; private set; } = Directory.GetCurrentDirectory();

    /// <summary>Null, with the reason, where a word is unknown or a value is missing or no number.</summary>
    public static FuzzOptions? Parse(string[] words, out string error)
    {
        FuzzOptions options = new();
        for (int i = 0; i < words.Length; i++)
        {
            string word = words[i];
            bool takesValue = word != "--afl";
            string value = takesValue && i + 1 < words.Length ? words[++i] : string.Empty;
            if ((takesValue && value.Length == 0) || !options.Take(word, value))
            {
                error = $"{word}: unknown, or its value is missing or wrong";
                return null;
            }
        }

        bool needsOneTarget = options.Afl || options.Only is not null || options.Replay is not null;
        error = needsOneTarget && options.Target == AllTargets ? "name one target (--target)" : string.Empty;
        return error.Length == 0 ? options : null;
    }

    private bool Take(string word, string value)
    {
        switch (word)
        {
            case "--target":
                Target = value;
                return value is AllTargets or Targets.CanaryTarget.TargetName
                    || Targets.FuzzTargets.Names.Contains(value, StringComparer.Ordinal);
            case "--seconds":
                bool isNumber = double.TryParse(value, CultureInfo.InvariantCulture, out double seconds) && seconds is > 0 and < 1e6;
                Duration = TimeSpan.FromSeconds(isNumber ? seconds : 1);
                return isNumber;
            case "--hang-seconds":
                bool isLimit = int.TryParse(value, CultureInfo.InvariantCulture, out int limit) && limit > 0;
                HangAfter = TimeSpan.FromSeconds(isLimit ? limit : 1);
                return isLimit;
            case "--seed":
                bool isSeed = ulong.TryParse(value, CultureInfo.InvariantCulture, out ulong seed);
                Seed = seed;
                return isSeed;
            case "--only":
                bool isIndex = long.TryParse(value, CultureInfo.InvariantCulture, out long only);
                Only = only;
                return isIndex;
            case "--replay":
                Replay = value;
                return File.Exists(value);
            case "--afl":
                Afl = true;
                return true;
            case "--make-corpus":
                MakeCorpus = value;
                return true;
            case "--corpus":
                Corpus = value;
                return Directory.Exists(value);
            case "--out":
                Out = value;
                return Directory.Exists(value);
            default:
                return false;
        }
    }
}
