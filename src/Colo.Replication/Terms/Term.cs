namespace Colo.Replication;

/// <summary>
/// One reign over a volume: rises with each change of primary and never falls. The default value (0) precedes every real term.
/// </summary>
public readonly record struct Term : IComparable<Term>
{
    /// <param name="value">1 or more.</param>
    public Term(long value)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
        Value = value;
    }

    /// <summary>What a node knows before it has seen any term.</summary>
    public static Term None => default;

    public long Value { get; }

    public Term Next() => new(checked(Value + 1));

    public int CompareTo(Term other) => Value.CompareTo(other.Value);

    public static bool operator <(Term left, Term right) => left.Value < right.Value;

    public static bool operator >(Term left, Term right) => left.Value > right.Value;

    public static bool operator <=(Term left, Term right) => left.Value <= right.Value;

    public static bool operator >=(Term left, Term right) => left.Value >= right.Value;

    public override string ToString() => $"term {Value}";
}
