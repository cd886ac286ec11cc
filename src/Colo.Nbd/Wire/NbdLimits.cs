namespace Colo.Nbd.Wire;

/// <summary>Bounds on what a peer may make us hold, each with its reason.</summary>
public static class NbdLimits
{
    /// <summary>proto.md: strings SHOULD NOT exceed 4096 bytes.</summary>
    public const int MaxStringBytes = 4096;

    /// <summary>proto.md and every known peer: 32 MiB is the largest payload a server need accept.</summary>
    public const int MaxPayloadBytes = 32 << 20;

    /// <summary>An option's data: two strings and a few numbers; more is drained and refused (ERR_TOO_BIG).</summary>
    public const int MaxOptionBytes = 64 << 10;

    /// <summary>Options in one handshake; qemu and libnbd need fewer than twenty.</summary>
    public const int MaxOptions = 256;

    /// <summary>Extents in one block status reply: 8 KiB of descriptors; clients ask again from where it ends.</summary>
    public const int MaxExtents = 1024;

    /// <summary>A peer has this long for the whole handshake.</summary>
    public static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(10);

    /// <summary>Connections of one server; QEMU opens at most 16 a disk.</summary>
    public const int MaxConnections = 100;

    /// <summary>Connections of one address that are still in their handshake: whoever proves nothing cannot take every place of a server.
    /// Twice what QEMU opens at once for a disk; a handshake takes milliseconds.</summary>
    public const int MaxHandshakesPerAddress = 32;

    /// <summary>A client that takes not one byte of its replies for so long is cut; one that can reconnects. Longer than any pause of a
    /// machine that means well, live migration included.</summary>
    public static readonly TimeSpan SendStall = TimeSpan.FromMinutes(2);
}
