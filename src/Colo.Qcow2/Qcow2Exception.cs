namespace Colo.Qcow2;

/// <summary>What is wrong with an image, or why it is refused.</summary>
public enum Qcow2Fault
{
    /// <summary>Not a qcow2 image at all.</summary>
    NotQcow2,

    /// <summary>A version other than 2 and 3.</summary>
    UnsupportedVersion,

    /// <summary>An incompatible feature bit that this reader does not know, or knows and does not serve.</summary>
    UnsupportedFeature,

    Encrypted,

    /// <summary>A compressed cluster is mapped.</summary>
    Compressed,

    ExternalDataFile,

    /// <summary>The writer before us marked the image corrupt.</summary>
    MarkedCorrupt,

    /// <summary>A field has a value that the format does not allow.</summary>
    InvalidField,

    /// <summary>A table is larger than the limits of this reader (which are QEMU's).</summary>
    TooLarge,

    /// <summary>A pointer is not a multiple of the cluster size.</summary>
    Misaligned,

    /// <summary>A pointer leads past the end of the file.</summary>
    OutOfFile,

    /// <summary>Two structures share a cluster, or data is mapped onto metadata.</summary>
    Overlap,

    /// <summary>The chain of backing files ends badly: missing, looping, too deep, or its format unnamed or unknown.</summary>
    BackingChain,

    /// <summary>The medium failed.</summary>
    Medium,
}

/// <summary>An image at fault: what, where in the file, in which file; the message says what is allowed.</summary>
public sealed class Qcow2Exception : Exception
{
    public Qcow2Exception(Qcow2Fault fault, string path, long offsetBytes, string message, Exception? inner = null)
        : base($"{path}: at byte {offsetBytes}: {message}", inner)
    {
        Fault = fault;
        Path = path;
        OffsetBytes = offsetBytes;
    }

    public Qcow2Fault Fault { get; }

    public string Path { get; }

    /// <summary>Where in the file the offending field lies.</summary>
    public long OffsetBytes { get; }
}
