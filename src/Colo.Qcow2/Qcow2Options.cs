namespace Colo.Qcow2;

/// <summary>What a written image outlives.</summary>
public enum Qcow2Durability
{
    /// <summary>Loss of power: a barrier (flush of the file) stands wherever one structure depends on another.</summary>
    PowerLoss,

    /// <summary>Death of the process: everything is in the right order in the page cache, without barriers. For buffers that are
    /// made anew after the machine was lost.</summary>
    ProcessDeath,
}

/// <summary>The name of a backing file and its format, as the header holds them.</summary>
/// <param name="Path">At most 1023 bytes of UTF-8; relative to the directory of the image.</param>
/// <param name="Format">"raw" or "qcow2"; never guessed from content, because a guest could write a header into its raw disk.</param>
public sealed record Qcow2Backing(string Path, string? Format);

/// <summary>How a new image is laid out.</summary>
public sealed record Qcow2CreateOptions
{
    /// <summary>Virtual size in bytes, any number from 0.</summary>
    public required long LengthBytes { get; init; }

    /// <summary>9 to 21 (512 bytes to 2 MiB); at least 14 with <see cref="ExtendedL2"/>.</summary>
    public int ClusterBits { get; init; } = 17;

    /// <summary>32 subclusters in a cluster, each allocated or zero on its own: 128 KiB clusters give 4 KiB grains.</summary>
    public bool ExtendedL2 { get; init; } = true;

    /// <summary>Refcounts are 1 &lt;&lt; order bits wide, 0 to 6.</summary>
    public int RefcountOrder { get; init; } = 4;

    /// <summary>Lets other writers postpone refcounts. This one never does: an image with postponed refcounts is not clean.</summary>
    public bool LazyRefcounts { get; init; }

    public Qcow2Backing? Backing { get; init; }

    public Qcow2Durability Durability { get; init; } = Qcow2Durability.PowerLoss;

    /// <summary>The layout of active and hidden disk: 4 KiB grains, no barriers.</summary>
    public static Qcow2CreateOptions ForBuffer(long lengthBytes, Qcow2Backing? backing = null) =>
        new() { LengthBytes = lengthBytes, Backing = backing, Durability = Qcow2Durability.ProcessDeath };
}

/// <summary>How an image is opened.</summary>
public sealed record Qcow2OpenOptions
{
    public bool ReadOnly { get; init; }

    public Qcow2Durability Durability { get; init; } = Qcow2Durability.PowerLoss;

    /// <summary>Memory for mapping tables; filled as they are used. 32 MiB map 256 GiB in 4 KiB grains (or 64 KiB clusters).</summary>
    public int MappingCacheBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>A backing file without a named format is opened as raw, instead of being refused. Content is never probed.</summary>
    public bool UnnamedBackingFormatIsRaw { get; init; }
}
