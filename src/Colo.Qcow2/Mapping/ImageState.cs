using System.Buffers.Binary;
using Colo.Blocks;
using Colo.Qcow2.Access;
using Colo.Qcow2.Header;
using Colo.Qcow2.Tables;

namespace Colo.Qcow2.Mapping;

/// <summary>
/// An open image's parts, and the small steps by which its metadata changes, each in the order that leaves the file whole at any
/// kill: refcount, then data, then L2 entry, then L1 entry; on freeing the reference first, then the refcount. Whatever changes
/// runs under <see cref="Lock"/>.
/// </summary>
internal sealed class ImageState
{
    /// <summary>With barriers, freed clusters wait for the next flush; this many force one.</summary>
    private const int MaximumPendingFrees = 1024;

    private readonly Qcow2Durability durability;
    private readonly Queue<long> pendingFrees = [];
    private readonly byte[] entryBytes;
    private readonly L2Entry[] entries;
    private long allocatedBytes;
    private long freesAdded;
    private long freesDone;
    private volatile bool isBroken;

    public ImageState(IImageFile file, Qcow2Header header, Qcow2Durability durability, ulong[] l1, int cacheBytes)
    {
        File = file;
        Header = header;
        this.durability = durability;
        Geometry = new Geometry(header.ClusterBits, header.ExtendedL2, header.RefcountOrder);
        Mapping = new MappingTables(file, Geometry, header.Version, l1, cacheBytes);
        Refcounts = new Refcounts(file, Geometry, BarrierAsync, WriteHeaderAsync);
        Allocator = new ClusterAllocator(file, Geometry, Refcounts, BarrierAsync);
        Lock = new MappingLock(file.CompletesSynchronously);
        entries = new L2Entry[Geometry.SliceEntries];
        entryBytes = new byte[Geometry.SliceEntries * Geometry.L2EntryBytes];
    }

    public IImageFile File { get; }

    public Qcow2Header Header { get; set; }

    public Geometry Geometry { get; }

    public MappingTables Mapping { get; }

    public Refcounts Refcounts { get; }

    public ClusterAllocator Allocator { get; }

    public SharedGate Gate { get; } = new();

    public MappingLock Lock { get; }

    /// <summary>A change of the header failed: nobody knows which tables the file names now, so nothing may be changed any more.</summary>
    public bool IsBroken => isBroken;

    public long AllocatedBytes => Interlocked.Read(ref allocatedBytes);

    /// <summary>Room for the entries of one change, one slice long. Under the lock.</summary>
    public Span<L2Entry> Entries => entries;

    public void CountAllocated(long bytes) => Interlocked.Add(ref allocatedBytes, bytes);

    public void ResetAllocated(long bytes) => Interlocked.Exchange(ref allocatedBytes, bytes);

    /// <summary>What was written before reaches stable storage before what is written after; nothing where only process death counts.</summary>
    public ValueTask<BlockStatus> BarrierAsync() =>
        durability == Qcow2Durability.PowerLoss ? File.FlushAsync() : new(BlockStatus.Ok);

    /// <summary>Changes fields of the header in one write, inside the first sector.</summary>
    public async ValueTask<BlockStatus> WriteHeaderAsync(int field, byte[] bytes)
    {
        BlockStatus status = await File.WriteAsync(field, bytes);
        isBroken |= status != BlockStatus.Ok;
        return status;
    }

    /// <summary>The slice that maps an offset, loaded where needed; null with Ok where there is no L2 table.</summary>
    public async ValueTask<(BlockStatus Status, L2Slice? Slice)> SliceAsync(long guestOffset)
    {
        if (MappingTables.L2Offset(Mapping.L1Entry(Geometry.L1Index(guestOffset))) == 0)
        {
            return (BlockStatus.Ok, null);
        }

        if (Mapping.TryGet(guestOffset) is { } known)
        {
            return (BlockStatus.Ok, known);
        }

        BlockStatus status = await Mapping.LoadAsync(guestOffset);
        return (status, status == BlockStatus.Ok ? Mapping.TryGet(guestOffset) : null);
    }

    /// <summary>As <see cref="SliceAsync"/>, but makes the L2 table where there is none: a zeroed table is linked before it is filled.</summary>
    public async ValueTask<(BlockStatus Status, L2Slice? Slice)> SliceForWriteAsync(long guestOffset)
    {
        (BlockStatus status, L2Slice? slice) = await SliceAsync(guestOffset);
        if (status != BlockStatus.Ok || slice is not null)
        {
            return (status, slice);
        }

        (status, long cluster, int _) = await Allocator.AllocateAsync(1);
        if (status != BlockStatus.Ok)
        {
            return (status, null);
        }

        long offset = cluster << Geometry.ClusterBits;
        if (!Allocator.GivesZeroes)
        {
            status = await File.ZeroAsync(new(offset, Geometry.ClusterBytes));
        }

        status = status == BlockStatus.Ok ? await LinkTableAsync(Geometry.L1Index(guestOffset), offset) : status;
        if (status != BlockStatus.Ok)
        {
            return (status, null);
        }

        CountAllocated(Geometry.ClusterBytes);
        return (BlockStatus.Ok, Mapping.AddEmpty(guestOffset));
    }

    /// <summary>L2 before L1: an L1 entry never points at a table that is not whole.</summary>
    public async ValueTask<BlockStatus> LinkTableAsync(int l1Index, long tableOffset)
    {
        BlockStatus status = await BarrierAsync();
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        ulong entry = (ulong)tableOffset | L2Entry.Copied;
        status = await File.WriteAsync(Header.L1Offset + (l1Index * 8L), HeaderWriter.U64(entry));
        if (status == BlockStatus.Ok)
        {
            Mapping.SetL1(l1Index, entry);
        }

        return status;
    }

    /// <summary>Writes <see cref="Entries"/> [0, count) over a slice's entries from <paramref name="index"/> on: file, then memory.</summary>
    public async ValueTask<BlockStatus> StoreEntriesAsync(L2Slice slice, int index, int count)
    {
        int bytes = Encode(count);
        long table = MappingTables.L2Offset(Mapping.L1Entry(slice.L1Index));
        long offset = table + ((long)slice.SliceIndex * slice.SizeBytes) + ((long)index * Geometry.L2EntryBytes);
        BlockStatus status = await File.WriteAsync(offset, entryBytes.AsMemory(0, bytes));
        if (status != BlockStatus.Ok)
        {
            return status;
        }

        for (int i = 0; i < count; i++)
        {
            slice.Set(index + i, entries[i]);
        }

        return BlockStatus.Ok;
    }

    /// <summary>A cluster lost its last or one of its references in the file. With barriers, its count falls after the next flush.</summary>
    public async ValueTask<BlockStatus> ReleaseAsync(long hostOffset)
    {
        if (durability == Qcow2Durability.ProcessDeath)
        {
            return (await Allocator.ReleaseAsync(hostOffset >> Geometry.ClusterBits, 1)).Status;
        }

        pendingFrees.Enqueue(hostOffset >> Geometry.ClusterBits);
        Volatile.Write(ref freesAdded, freesAdded + 1);
        return pendingFrees.Count < MaximumPendingFrees ? BlockStatus.Ok : await FlushUnderLockAsync();
    }

    /// <summary>Everything so far is durable; then the clusters that waited for it are given back. Takes the lock for that part only.</summary>
    public async ValueTask<BlockStatus> FlushAsync()
    {
        long covered = Volatile.Read(ref freesAdded);
        BlockStatus status = await File.FlushAsync();
        if (status != BlockStatus.Ok || Volatile.Read(ref freesDone) >= covered)
        {
            return status;
        }

        await Lock.EnterAsync();
        try
        {
            return await FreeAsync(covered);
        }
        finally
        {
            Lock.Exit();
        }
    }

    /// <summary>As <see cref="FlushAsync"/>, for who holds the lock.</summary>
    public async ValueTask<BlockStatus> FlushUnderLockAsync()
    {
        BlockStatus status = await File.FlushAsync();
        return status == BlockStatus.Ok ? await FreeAsync(freesAdded) : status;
    }

    /// <summary>The refcounts were exchanged for others, in which nothing waits to be freed.</summary>
    public void ForgetFrees()
    {
        pendingFrees.Clear();
        Volatile.Write(ref freesDone, freesAdded);
    }

    private async ValueTask<BlockStatus> FreeAsync(long covered)
    {
        BlockStatus status = BlockStatus.Ok;
        while (status == BlockStatus.Ok && freesDone < covered)
        {
            (status, _) = await Allocator.ReleaseAsync(pendingFrees.Dequeue(), 1);
            Volatile.Write(ref freesDone, freesDone + 1);
        }

        return status;
    }

    private int Encode(int count)
    {
        Span<byte> bytes = entryBytes;
        for (int i = 0; i < count; i++)
        {
            Span<byte> at = bytes[(i * Geometry.L2EntryBytes)..];
            BinaryPrimitives.WriteUInt64BigEndian(at, entries[i].Word(Geometry.ExtendedL2));
            if (Geometry.ExtendedL2)
            {
                BinaryPrimitives.WriteUInt64BigEndian(at[8..], entries[i].Bitmap());
            }
        }

        return count * Geometry.L2EntryBytes;
    }
}
