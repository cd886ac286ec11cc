namespace Colo.Qcow2.Header;

/// <summary>Where the header's fields lie (qcow2.txt, "Header"), and the limits on their values, which are QEMU's.</summary>
internal static class HeaderLayout
{
    public const uint Magic = 0x514649fb;

    public const int Version = 4;
    public const int BackingFileOffset = 8;
    public const int BackingFileSize = 16;
    public const int ClusterBits = 20;
    public const int Size = 24;
    public const int CryptMethod = 32;
    public const int L1Size = 36;
    public const int L1TableOffset = 40;
    public const int RefcountTableOffset = 48;
    public const int RefcountTableClusters = 56;
    public const int SnapshotCount = 60;
    public const int SnapshotsOffset = 64;
    public const int IncompatibleFeatures = 72;
    public const int CompatibleFeatures = 80;
    public const int AutoclearFeatures = 88;
    public const int RefcountOrder = 96;
    public const int HeaderLength = 100;
    public const int CompressionType = 104;

    public const int LengthV2 = 72;
    public const int MinimumLengthV3 = 104;

    /// <summary>What this writer writes: with the compression type, as QEMU since 5.1.</summary>
    public const int WrittenLength = 112;

    public const int MinimumClusterBits = 9;
    public const int MaximumClusterBits = 21;
    public const int MinimumClusterBitsExtendedL2 = 14;
    public const int MaximumRefcountOrder = 6;
    public const int MaximumBackingNameBytes = 1023;

    /// <summary>32 MiB: the L1 table is held in memory.</summary>
    public const int MaximumL1Entries = 32 * 1024 * 1024 / sizeof(ulong);

    /// <summary>8 MiB: the refcount table is held in memory.</summary>
    public const int MaximumRefcountTableBytes = 8 * 1024 * 1024;

    public const int MaximumSnapshots = 65536;
    public const int MaximumSnapshotTableBytes = 64 * 1024 * 1024;
    public const int MaximumBitmaps = 65535;
    public const int MaximumBitmapDirectoryBytes = 64 * 1024 * 1024;
}
