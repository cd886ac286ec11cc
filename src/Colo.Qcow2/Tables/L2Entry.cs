namespace Colo.Qcow2.Tables;

/// <summary>
/// What maps one cluster, the same for both kinds of entry: a standard entry is a cluster of one subcluster. Never both allocated and
/// zero. A host cluster may stand behind a zero subcluster, so that a later write finds its place.
/// </summary>
internal readonly record struct L2Entry(long HostOffset, bool IsCopied, uint Allocated, uint Zero)
{
    public const ulong Copied = 1UL << 63;
    public const ulong Compressed = 1UL << 62;
    public const ulong OffsetMask = 0x00ff_ffff_ffff_fe00;
    public const ulong L1ReservedMask = 0x7f00_0000_0000_01ff;
    private const ulong StandardReservedMask = 0x3f00_0000_0000_01fe;
    private const ulong ZeroFlag = 1;

    public bool HasHost => HostOffset != 0;

    public bool IsHole => (Allocated | Zero) == 0;

    public static L2Entry Decode(ulong word, ulong bitmap, bool extended)
    {
        long host = (long)(word & OffsetMask);
        bool copied = (word & Copied) != 0;
        if (extended)
        {
            return new(host, copied, (uint)bitmap, (uint)(bitmap >> 32));
        }

        bool zero = (word & ZeroFlag) != 0;
        return new(host, copied, !zero && host != 0 ? 1u : 0, zero ? 1u : 0);
    }

    /// <summary>What is wrong with a raw entry, or null. Compression is judged apart, before.</summary>
    public static string? Judge(ulong word, ulong bitmap, bool extended, int version)
    {
        ulong reserved = StandardReservedMask | (extended || version < 3 ? ZeroFlag : 0);
        if ((word & reserved) != 0)
        {
            return $"reserved bits 0x{word & reserved:x} of an L2 entry are set";
        }

        if (extended && ((uint)bitmap & (uint)(bitmap >> 32)) != 0)
        {
            return $"subclusters are both allocated and zero (bitmap 0x{bitmap:x16})";
        }

        return extended && (uint)bitmap != 0 && (word & OffsetMask) == 0
            ? $"subclusters are allocated (bitmap 0x{bitmap:x16}) in no cluster"
            : null;
    }

    public ulong Word(bool extended) =>
        (ulong)HostOffset | (IsCopied && HostOffset != 0 ? Copied : 0) | (!extended && Zero != 0 ? ZeroFlag : 0);

    public ulong Bitmap() => Allocated | ((ulong)Zero << 32);

    public static L2Entry At(long hostOffset, uint allocated, uint zero) => new(hostOffset, IsCopied: true, allocated, zero);
}
