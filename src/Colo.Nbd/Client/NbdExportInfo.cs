using Colo.Nbd.Wire;

namespace Colo.Nbd.Client;

/// <summary>What the handshake agreed on: the export as the server describes it, and the protocol features in force.</summary>
public sealed record NbdExportInfo
{
    /// <summary>Bytes, as the server says; may not be a multiple of <see cref="MinimumBlockBytes"/>.</summary>
    public required ulong SizeBytes { get; init; }

    public required NbdTransmissionFlags Flags { get; init; }

    /// <summary>The server's canonical name, where it told one.</summary>
    public string? CanonicalName { get; init; }

    public string? Description { get; init; }

    /// <summary>Power of two; 1 where the server named no constraint (proto.md, "Block size constraints").</summary>
    public uint MinimumBlockBytes { get; init; } = 1;

    public uint PreferredBlockBytes { get; init; } = 4096;

    /// <summary>Largest payload of a read or write.</summary>
    public uint MaximumPayloadBytes { get; init; } = NbdLimits.MaxPayloadBytes;

    public bool StructuredReplies { get; init; }

    public bool ExtendedHeaders { get; init; }

    /// <summary>The server's id of base:allocation on this connection, null where it was not agreed.</summary>
    public uint? BaseAllocationId { get; init; }

    /// <summary>The server's id of colo:checkpoint on this connection, null where it was not agreed.</summary>
    public uint? CheckpointId { get; init; }

    public bool Tls { get; init; }

    /// <summary>Null, or what makes <paramref name="later"/> (after a reconnect) another disk than this one.</summary>
    internal string? DifferenceTo(NbdExportInfo later) =>
        later.SizeBytes != SizeBytes ? $"its size changed from {SizeBytes} to {later.SizeBytes} bytes"
        : later.Flags != Flags ? $"its flags changed from {Flags} to {later.Flags}"
        : (later.MinimumBlockBytes, later.MaximumPayloadBytes) != (MinimumBlockBytes, MaximumPayloadBytes)
            ? "its block size constraints changed"
        : (later.StructuredReplies, later.ExtendedHeaders, later.BaseAllocationId.HasValue, later.CheckpointId.HasValue)
            != (StructuredReplies, ExtendedHeaders, BaseAllocationId.HasValue, CheckpointId.HasValue)
            ? "its protocol features changed"
        : null;
}

/// <summary>One line of a server's list of exports.</summary>
public sealed record NbdExportListing(string Name, string Description);
