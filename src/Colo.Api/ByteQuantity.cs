using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Colo.Api;

/// <summary>
/// A number of bytes as Kubernetes writes quantities: <c>20Gi</c>, <c>512Mi</c>, <c>1.5G</c>, <c>4096</c>. It prints itself in the
/// shortest exact form. Never negative; always whole bytes, a fraction of one is rounded up as Kubernetes does.
/// </summary>
[JsonConverter(typeof(ByteQuantityJsonConverter))]
public readonly record struct ByteQuantity : IComparable<ByteQuantity>
{
    public const string Allowed = "a whole number of bytes, or a number with Ki, Mi, Gi, Ti, Pi, k, M, G, T or P, such as 20Gi";

    /// <summary>
    /// What the CRD takes where people write one. All of it fits 63 bits, so that <see cref="TryParse"/> can read whatever an API server
    /// stored: an object that it could not read would be in the operator's way for ever.
    /// </summary>
    public const string Pattern =
        @"^([0-9]{1,18}|[0-9]{1,15}(\.[0-9]{1,9})?(Ki|k)|[0-9]{1,12}(\.[0-9]{1,9})?(Mi|M)|[0-9]{1,9}(\.[0-9]{1,9})?(Gi|G)"
        + @"|[0-9]{1,6}(\.[0-9]{1,9})?(Ti|T)|[0-9]{1,3}(\.[0-9]{1,9})?(Pi|P))$";

    /// <summary>The most that a bare number in JSON may be: a power of two, for whoever reads it as a floating-point number on the way.</summary>
    public const long MaxPlainBytes = 1L << 59;

    // Longest suffix first: "Ki" must not be read as an unknown "i" behind "K".
    private static readonly (string Suffix, long Factor)[] Suffixes =
    [
        ("Ki", 1L << 10), ("Mi", 1L << 20), ("Gi", 1L << 30), ("Ti", 1L << 40), ("Pi", 1L << 50),
        ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000), ("P", 1_000_000_000_000_000),
    ];

    public ByteQuantity(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
    }

    public long Bytes { get; }

    public static bool operator <(ByteQuantity left, ByteQuantity right) => left.Bytes < right.Bytes;

    public static bool operator >(ByteQuantity left, ByteQuantity right) => left.Bytes > right.Bytes;

    public static bool operator <=(ByteQuantity left, ByteQuantity right) => left.Bytes <= right.Bytes;

    public static bool operator >=(ByteQuantity left, ByteQuantity right) => left.Bytes >= right.Bytes;

    public static ByteQuantity FromMebibytes(long mebibytes) => new(checked(mebibytes << 20));

    public static ByteQuantity FromGibibytes(long gibibytes) => new(checked(gibibytes << 30));

    /// <summary>False for anything that is not <see cref="Allowed"/>, or does not fit 63 bits.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out ByteQuantity quantity)
    {
        quantity = default;
        if (string.IsNullOrEmpty(text))
        {
            return false;
        }

        long factor = 1;
        string number = text;
        foreach ((string suffix, long suffixFactor) in Suffixes)
        {
            if (text.EndsWith(suffix, StringComparison.Ordinal))
            {
                factor = suffixFactor;
                number = text[..^suffix.Length];
                break;
            }
        }

        NumberStyles style = factor == 1 ? NumberStyles.None : NumberStyles.AllowDecimalPoint;
        if (!decimal.TryParse(number, style, CultureInfo.InvariantCulture, out decimal value) || value > long.MaxValue / factor)
        {
            return false;
        }

        quantity = new ByteQuantity((long)decimal.Ceiling(value * factor));
        return true;
    }

    public int CompareTo(ByteQuantity other) => Bytes.CompareTo(other.Bytes);

    public override string ToString()
    {
        (string Suffix, long Factor) best = ("", 1);
        foreach ((string Suffix, long Factor) candidate in Suffixes)
        {
            if (candidate.Suffix.EndsWith('i') && Bytes != 0 && Bytes % candidate.Factor == 0)
            {
                best = candidate;
            }
        }

        return (Bytes / best.Factor).ToString(CultureInfo.InvariantCulture) + best.Suffix;
    }

    /// <summary>Rounded for people: <c>1.4 GiB</c>.</summary>
    public string ToDisplayString()
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        double value = Bytes;
        int unit = 0;
        while (value >= 1024 && unit < units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return value.ToString(unit == 0 || value >= 100 ? "0" : "0.0", CultureInfo.InvariantCulture) + " " + units[unit];
    }
}

internal sealed class ByteQuantityJsonConverter : JsonConverter<ByteQuantity>
{
    public override ByteQuantity Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        // The API server hands quantities back as it got them: a string, or a bare number.
        string? text = reader.TokenType == JsonTokenType.Number
            ? reader.GetInt64().ToString(CultureInfo.InvariantCulture)
            : reader.GetString();
        return ByteQuantity.TryParse(text, out ByteQuantity quantity)
            ? quantity
            : throw new JsonException($"'{text}' is not a quantity: {ByteQuantity.Allowed}");
    }

    public override void Write(Utf8JsonWriter writer, ByteQuantity value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToString());
}
