using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Colo.Api;

/// <summary>
/// A length of time as Kubernetes writes it (Go's time.ParseDuration, without sign): <c>30s</c>, <c>1h30m</c>, <c>500ms</c>,
/// <c>0</c>. Never negative.
/// </summary>
[JsonConverter(typeof(DurationJsonConverter))]
public readonly record struct Duration : IComparable<Duration>
{
    public const string Allowed = "a number with h, m, s or ms, or several of them, such as 30s, 500ms or 1h30m";

    /// <summary>
    /// What the CRD takes where people write one. All of it is under <see cref="Longest"/>, so that <see cref="TryParse"/> can read
    /// whatever an API server stored.
    /// </summary>
    public const string Pattern =
        @"^(0|([0-9]{1,5}(\.[0-9]{1,6})?h|[0-9]{1,7}(\.[0-9]{1,6})?m|[0-9]{1,9}(\.[0-9]{1,6})?s|[0-9]{1,12}(\.[0-9]{1,6})?ms){1,4})$";

    /// <summary>Far above any sensible setting; keeps sums of durations inside a TimeSpan.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromDays(200 * 365);

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

    /// <summary>False for anything that is not <see cref="Allowed"/>, or is longer than 200 years.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out Duration duration)
    {
        duration = default;
        if (text == "0")
        {
            return true;
        }

        if (string.IsNullOrEmpty(text))
        {
            return false;
        }

        decimal milliseconds = 0;
        int at = 0;
        while (at < text.Length)
        {
            int numberEnd = at;
            while (numberEnd < text.Length && (char.IsAsciiDigit(text[numberEnd]) || text[numberEnd] == '.'))
            {
                numberEnd++;
            }

            int unitEnd = numberEnd;
            while (unitEnd < text.Length && char.IsAsciiLetter(text[unitEnd]))
            {
                unitEnd++;
            }

            decimal? factor = text[numberEnd..unitEnd] switch
            {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => null,
            };
            if (factor is not { } unit || !decimal.TryParse(text.AsSpan(at, numberEnd - at), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number) ||
                number > (decimal)Longest.TotalMilliseconds)
            {
                return false;
            }

            milliseconds += number * unit;
            at = unitEnd;
        }

        if (milliseconds > (decimal)Longest.TotalMilliseconds)
        {
            return false;
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
