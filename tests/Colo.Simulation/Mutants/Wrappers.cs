using Colo.AgentApi;
using Colo.Blocks;
using Colo.Replication;
using VolumeRecord = Colo.Replication.VolumeRecord;

namespace Colo.Simulation.Mutants;

/// <summary>A device that passes everything on, for a bug to change one thing of it.</summary>
internal abstract class WrappedDevice(IBlockDevice inner) : IBlockDevice
{
    public long LengthBytes => Inner.LengthBytes;

    public DeviceCapabilities Capabilities => Inner.Capabilities;

    protected IBlockDevice Inner => inner;

    public virtual ValueTask<BlockStatus> ReadAsync(long offsetBytes, Memory<byte> destination) => Inner.ReadAsync(offsetBytes, destination);

    public virtual ValueTask<BlockStatus> WriteAsync(long offsetBytes, ReadOnlyMemory<byte> source, RequestFlags flags = RequestFlags.None) =>
        Inner.WriteAsync(offsetBytes, source, flags);

    public virtual ValueTask<BlockStatus> WriteZeroesAsync(BlockRange range, RequestFlags flags = RequestFlags.None) =>
        Inner.WriteZeroesAsync(range, flags);

    public ValueTask<BlockStatus> DiscardAsync(BlockRange range, RequestFlags flags = RequestFlags.None) => Inner.DiscardAsync(range, flags);

    public virtual ValueTask<BlockStatus> FlushAsync() => Inner.FlushAsync();

    public virtual ValueTask<BlockStatus> GetExtentsAsync(BlockRange range, IList<BlockExtent> extents, int maxExtents = int.MaxValue) =>
        Inner.GetExtentsAsync(range, extents, maxExtents);

    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return Inner.DisposeAsync();
    }
}

internal abstract class WrappedLink(IReplicationLink inner) : WrappedDevice(inner), IReplicationLink
{
    public string PeerNode => inner.PeerNode;

    public bool CarriesCheckpoints => inner.CarriesCheckpoints;

    public Task<string> Lost => inner.Lost;

    public string? CheckpointFailure => inner.CheckpointFailure;

    public virtual ValueTask<LineageReport?> ReadLineageAsync(CancellationToken token) => inner.ReadLineageAsync(token);

    public virtual ValueTask AnnounceAsync(LineageAnnouncement announcement, CancellationToken token) => inner.AnnounceAsync(announcement, token);

    public virtual ValueTask<BlockStatus> CheckpointAsync(long epoch) => inner.CheckpointAsync(epoch);
}

internal abstract class WrappedOverlay(IOverlayDevice inner) : WrappedDevice(inner), IOverlayDevice
{
    public int GrainBytes => inner.GrainBytes;

    public long AllocatedBytes => inner.AllocatedBytes;

    public ValueTask<BlockStatus> MakeEmptyAsync() => inner.MakeEmptyAsync();
}

/// <summary>Both overlays of each pair, wrapped.</summary>
internal sealed class WrappedEpochs(IEpochStore inner, Func<EpochOverlays, EpochOverlays> wrap) : IEpochStore
{
    public ValueTask<EpochRecord> ReadAsync() => inner.ReadAsync();

    public async ValueTask<EpochOverlays?> OpenAsync(long epoch) => await inner.OpenAsync(epoch) is { } pair ? wrap(pair) : null;

    public async ValueTask<EpochOverlays> PrepareAsync(long epoch) => wrap(await inner.PrepareAsync(epoch));

    public ValueTask CommitAsync(EpochRecord record) => inner.CommitAsync(record);

    public ValueTask DiscardAsync(EpochOverlays pair) => inner.DiscardAsync(pair);
}

internal sealed class WrappedArbiter(IArbiter inner, Func<VolumeRecord, VolumeRecord, Func<VolumeRecord, ValueTask<ArbiterAnswer>>, ValueTask<ArbiterAnswer>> update)
    : IArbiter
{
    public ValueTask<VolumeRecord?> ReadAsync(VolumeUid volume, CancellationToken token) => inner.ReadAsync(volume, token);

    public ValueTask<ArbiterAnswer> TryUpdateAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token) =>
        update(expected, next, wanted => inner.TryUpdateAsync(expected, wanted, token));
}

internal sealed class WrappedRecords(IVolumeRecordStore inner, Func<AgentApi.VolumeRecord, AgentApi.VolumeRecord> seen) : IVolumeRecordStore
{
    public string Location => inner.Location;

    public async Task<AgentApi.VolumeRecord?> ReadAsync(CancellationToken token) => await inner.ReadAsync(token) is { } record ? seen(record) : null;

    public Task<RecordChange> TryCreateAsync(AgentApi.VolumeRecord first, CancellationToken token) => inner.TryCreateAsync(first, token);

    public Task<RecordChange> TryReplaceAsync(AgentApi.VolumeRecord expected, AgentApi.VolumeRecord next, CancellationToken token) =>
        inner.TryReplaceAsync(expected, next, token);

    public Task DeleteAsync(CancellationToken token) => inner.DeleteAsync(token);
}

/// <summary>A store that passes everything on.</summary>
internal abstract class WrappedLineage(ILineageStore inner) : ILineageStore
{
    public virtual ValueTask<LineageRecord> ReadAsync() => inner.ReadAsync();

    public virtual ValueTask WriteAsync(LineageRecord record) => inner.WriteAsync(record);

    public virtual ValueTask<IReadOnlyList<int>> ReadActivityAsync() => inner.ReadActivityAsync();

    public virtual ValueTask WriteActivityAsync(IReadOnlyList<int> extents) => inner.WriteActivityAsync(extents);

    public virtual ValueTask ReadMapAsync(Memory<byte> destination) => inner.ReadMapAsync(destination);

    public virtual void WriteMap(long offsetBytes, ReadOnlySpan<byte> source) => inner.WriteMap(offsetBytes, source);

    public virtual ValueTask SyncMapAsync() => inner.SyncMapAsync();
}
