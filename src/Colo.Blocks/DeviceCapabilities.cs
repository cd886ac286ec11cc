namespace Colo.Blocks;

/// <summary>
/// What a device can do, apart from the device itself: fixed while it is open, read once by whoever serves it.
/// </summary>
/// <param name="IsReadOnly">Writes answer <see cref="BlockStatus.NotPermitted"/>.</param>
/// <param name="CanDiscard">Discard frees space; otherwise it is answered Ok and does nothing.</param>
/// <param name="CanZeroFast">Write zeroes with <see cref="RequestFlags.FastOnly"/> can succeed.</param>
/// <param name="FlushCoversAll">A flush covers every write answered before it, whoever sent it (NBD's CAN_MULTI_CONN).</param>
/// <param name="MinimumBlockBytes">Power of two; every offset and length must be a multiple.</param>
/// <param name="PreferredBlockBytes">Power of two; smaller requests cost a read-modify-write.</param>
public sealed record DeviceCapabilities(
    bool IsReadOnly = false,
    bool CanDiscard = true,
    bool CanZeroFast = true,
    bool FlushCoversAll = true,
    int MinimumBlockBytes = 1,
    int PreferredBlockBytes = 4096);
