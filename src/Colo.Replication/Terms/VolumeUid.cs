namespace Colo.Replication;

/// <summary>The identity of a volume over its whole life: 1-63 of [a-z0-9-], because it names files, sockets and exports.</summary>
public readonly record struct VolumeUid
{
    private const int MaxLength = 63;

    private readonly string? value;

    public VolumeUid(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        if (value.Length is 0 or > MaxLength || value.AsSpan().ContainsAnyExcept("abcdefghijklmnopqrstuvwxyz0123456789-"))
        {
            throw new ArgumentException($"a volume's uid is 1-{MaxLength} of [a-z0-9-], not '{value}'", nameof(value));
        }

        this.value = value;
    }

    public string Value => value ?? throw new InvalidOperationException("a default VolumeUid names no volume");

    public override string ToString() => value ?? "(no volume)";
}
