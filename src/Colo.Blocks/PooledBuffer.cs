using System.Buffers;
using System.Runtime.InteropServices;

namespace Colo.Blocks;

/// <summary>
/// A buffer of a <see cref="BufferPool"/>, lent to one owner until it disposes it. Dispose exactly once: afterwards the same object
/// belongs to the next who rents. A second dispose while it lies idle throws.
/// </summary>
public sealed class PooledBuffer : IMemoryOwner<byte>
{
    private readonly BufferPool pool;
    private readonly byte[] pinned;
    private readonly int alignedStart;
    private int lent;

    internal PooledBuffer(BufferPool pool, int sizeClass, int capacityBytes)
    {
        this.pool = pool;
        SizeClass = sizeClass;
        pinned = GC.AllocateUninitializedArray<byte>(capacityBytes + BufferPool.AlignmentBytes, pinned: true);
        nint address = Marshal.UnsafeAddrOfPinnedArrayElement(pinned, 0);
        alignedStart = (int)(-address & (BufferPool.AlignmentBytes - 1));
    }

    public int LengthBytes { get; private set; }

    /// <summary>Exactly the length asked for, 4096-aligned, pinned.</summary>
    public Memory<byte> Memory => Volatile.Read(ref lent) == 1
        ? pinned.AsMemory(alignedStart, LengthBytes)
        : throw new ObjectDisposedException(nameof(PooledBuffer));

    public Span<byte> Span => Memory.Span;

    internal int SizeClass { get; }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref lent, 0) == 0)
        {
            throw new InvalidOperationException("a buffer was given back twice");
        }

        pool.Return(this);
    }

    internal void Lend(int lengthBytes)
    {
        LengthBytes = lengthBytes;
        Volatile.Write(ref lent, 1);
    }
}
