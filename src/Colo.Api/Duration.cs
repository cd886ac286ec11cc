using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;

namespace Colo.Api;

/// <summary>
/// A length of time as Kubernetes writes it (Go's time.ParseDuration, without sign): <c>30s</c>, <c>1h30m</c>, <c>500ms</c>,
/// <c>0</c>. Never negative; at most four parts.
/// </summary>
[JsonConverter(typeof(DurationJsonConverter))]
public readonly partial record struct Duration : IComparable<Duration>
{
    public const string Allowed = "a number with h, m, s or ms, or several of them, such as 30s, 500ms or 1h30m";

    /// <summary>Exactly what <see cref="TryParse"/> takes, for the CRD: whatever an API server stored can be read. All of it is under 130 years.</summary>
    public const string Pattern =
        @"^(0|([0-9]{1,5}(\.[0-9]{1,6})?h|[0-9]{1,7}(\.[0-9]{1,6})?m|[0-9]{1,9}(\.[0-9]{1,6})?s|[0-9]{1,12}(\.[0-9]{1,6})?ms){1,4})$";

    public Duration(TimeSpan value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero);
        Value = value;
    }

    public TimeSpan Value { get; }

    public static implicit operator TimeSpan(Duration duration) => duration.Value;

    public static bool operator <(Duration left, Duration right) => left.Value < right.Value;

    public static bool operator >(Duration left, Duration right) => left.Value > right.Value;

    public static bool operator <=(Duration left, Duration right) => left.Value <= right.Value;

    public static bool operator >=(Duration left, Duration right) => left.Value >= right.Value;

    public static Duration FromSeconds(double seconds) => new(TimeSpan.FromSeconds(seconds));

    /// <summary>False for anything that is not <see cref="Allowed"/>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out Duration duration)
    {
        duration = default;
        if (text is null || !Form().IsMatch(text))
        {
            return false;
        }

        decimal milliseconds = 0;
        foreach (Match part in Part().Matches(text))
        {
            decimal unit = part.Groups["unit"].Value switch
            {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                _ => 1,
            };
            milliseconds += unit * decimal.Parse(part.Groups["number"].Value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture);
        }

        duration = new Duration(TimeSpan.FromTicks((long)(milliseconds * TimeSpan.TicksPerMillisecond)));
        return true;
    }

    public int CompareTo(Duration other) => Value.CompareTo(other.Value);

    public override string ToString()
    {
        if (Value == TimeSpan.Zero)
        {
            return "0s";
        }

        StringBuilder text = new();
        long hours = (long)Value.TotalHours;
        if (hours > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"{hours}h");
        }

        if (Value.Minutes > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"{Value.Minutes}m");
        }

        if (Value.Seconds > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"{Value.Seconds}s");
        }

        double rest = Value.TotalMilliseconds - Math.Floor(Value.TotalSeconds) * 1000;
        if (rest > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"{rest:0.####}ms");
        }

        return text.ToString();
    }

    // \z: a dollar sign would let a line end pass.
    [GeneratedRegex(Pattern + @"\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Form();

    [GeneratedRegex("(?<number>[0-9.]+)(?<unit>ms|h|m|s)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Part();
}

internal sealed class DurationJsonConverter : JsonConverter<Duration>
{
    public override Duration Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Duration.TryParse(reader.GetString(), out Duration duration)
            ? duration
            : throw new JsonException($"not a duration: {Duration.Allowed}");

    public override void Write(Utf8JsonWriter writer, Duration value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToString());
}
