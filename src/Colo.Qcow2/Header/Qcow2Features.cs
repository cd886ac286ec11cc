namespace Colo.Qcow2.Header;

/// <summary>Bits that a reader must know to serve the image (qcow2.txt, incompatible_features).</summary>
[Flags]
internal enum IncompatibleFeatures : ulong
{
    None = 0,

    /// <summary>Refcounts may be stale; a writer rebuilds them first.</summary>
    Dirty = 1 << 0,
    Corrupt = 1 << 1,
    ExternalDataFile = 1 << 2,

    /// <summary>Compressed clusters are not deflate. Harmless as long as no cluster is compressed.</summary>
    CompressionType = 1 << 3,
    ExtendedL2 = 1 << 4,
}

[Flags]
internal enum CompatibleFeatures : ulong
{
    None = 0,
    LazyRefcounts = 1 << 0,
}

/// <summary>Bits that a writer that does not maintain the feature must clear.</summary>
[Flags]
internal enum AutoclearFeatures : ulong
{
    None = 0,

    /// <summary>The persistent bitmaps are consistent with the data.</summary>
    Bitmaps = 1 << 0,
    RawExternalData = 1 << 1,
}
