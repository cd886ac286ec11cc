using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Colo.PowerCut.Tests;

/// <summary>
/// Reads what <c>strace -f -y -xx --timestamps=unix,ns</c> wrote. A line is a whole call, the beginning of one ("unfinished"), or its end
/// ("resumed"); the order of lines is the order in which things happened.
/// </summary>
public static partial class StraceLog
{
    private const int MatchMilliseconds = 1000;

    public static SystemCallLog Parse(IEnumerable<string> lines)
    {
        List<SystemCall> calls = [];
        List<long> times = [];
        Dictionary<string, (SystemCall Call, string Head)> unfinished = new(StringComparer.Ordinal);
        foreach (string line in lines)
        {
            string[] parts = line.Split(' ', 3, StringSplitOptions.RemoveEmptyEntries);
            if (parts.Length < 3 || parts[2].StartsWith("+++", StringComparison.Ordinal) || parts[2].StartsWith("---", StringComparison.Ordinal))
            {
                continue;
            }

            (string thread, string text) = (parts[0], parts[2]);
            times.Add(Nanoseconds(parts[1]));
            if (text.StartsWith("<... ", StringComparison.Ordinal))
            {
                if (unfinished.Remove(thread, out (SystemCall Call, string Head) begun))
                {
                    calls.Add(Ended(begun.Call, begun.Head + text[(text.IndexOf('>', StringComparison.Ordinal) + 1)..], times.Count - 1));
                }

                continue;
            }

            int open = text.IndexOf('(', StringComparison.Ordinal);
            SystemCall call = new(text[..open], [], times.Count - 1);
            if (text.EndsWith(" <unfinished ...>", StringComparison.Ordinal))
            {
                unfinished[thread] = (call, text[..^" <unfinished ...>".Length]);
            }
            else
            {
                times.Add(times[^1]);
                calls.Add(Ended(call, text, times.Count - 1));
            }
        }

        // Cut off with their process: what they were to do may have happened, in part.
        calls.AddRange(unfinished.Values.Select(u => u.Call with { Arguments = ArgumentsOf(u.Head) }));
        return new(calls, times);
    }

    /// <summary>A string that strace printed in hex, with or without its quotes.</summary>
    public static byte[] Bytes(string hex)
    {
        ReadOnlySpan<char> digits = hex.AsSpan().Trim('"');
        byte[] bytes = new byte[digits.Length / 4];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = byte.Parse(digits.Slice((i * 4) + 2, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        }

        return bytes;
    }

    public static string Text(string hex) => Encoding.UTF8.GetString(Bytes(hex));

    /// <summary>The path behind a descriptor; null where it has none or was removed.</summary>
    public static string? PathOf(string descriptor) =>
        Annotated().Match(descriptor) is { Success: true } match && !descriptor.EndsWith("(deleted)", StringComparison.Ordinal)
            ? Text(match.Groups["path"].Value)
            : null;

    private static SystemCall Ended(SystemCall call, string text, int step)
    {
        Match tail = Tail().Match(text);
        return call with
        {
            Arguments = ArgumentsOf(tail.Success ? text[..tail.Index] : text),
            End = step,
            Result = tail.Success && long.TryParse(tail.Groups["result"].Value, CultureInfo.InvariantCulture, out long result) ? result : -1,
        };
    }

    private static string[] ArgumentsOf(string text)
    {
        List<string> arguments = [];
        int depth = 0;
        int start = text.IndexOf('(', StringComparison.Ordinal) + 1;
        for (int i = start; i < text.Length; i++)
        {
            depth += text[i] is '{' or '[' or '(' ? 1 : text[i] is '}' or ']' or ')' ? -1 : 0;
            if (text[i] == ',' && depth == 0)
            {
                arguments.Add(text[start..i].Trim());
                start = i + 1;
            }
        }

        return start < text.Length ? [.. arguments, text[start..].Trim()] : [.. arguments];
    }

    private static long Nanoseconds(string time)
    {
        int point = time.IndexOf('.', StringComparison.Ordinal);
        return (long.Parse(time.AsSpan(0, point), CultureInfo.InvariantCulture) * 1_000_000_000)
            + long.Parse(time[(point + 1)..].PadRight(9, '0'), CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"^-?\w+<(?<path>(\\x[0-9a-f]{2})+)>", RegexOptions.ExplicitCapture, MatchMilliseconds)]
    private static partial Regex Annotated();

    [GeneratedRegex(@"\)\s*= (?<result>-?\d+|\?)(?!\d)[^""]*$", RegexOptions.ExplicitCapture | RegexOptions.RightToLeft, MatchMilliseconds)]
    private static partial Regex Tail();
}
