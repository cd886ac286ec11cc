using System.Runtime.InteropServices;

namespace Colo.Linux;

/// <summary>Aligned memory of one worker, for O_DIRECT transfers whose own memory or range is not; taken when first needed.</summary>
internal sealed unsafe class BounceBuffer : IDisposable
{
    public const int LengthBytes = 256 << 10;

    /// <summary>Above every logical block size in use, and a page.</summary>
    private const int AlignmentBytes = 4096;

    /// <summary>Shared zeroes to write from; never freed, never written.</summary>
    private static readonly byte* SharedZeroes = AllocateZeroes();

    private byte* memory;

    public static ReadOnlySpan<byte> Zeroes => new(SharedZeroes, LengthBytes);

    public Span<byte> Span
    {
        get
        {
            if (memory is null)
            {
                memory = (byte*)NativeMemory.AlignedAlloc(LengthBytes, AlignmentBytes);
            }

            return new Span<byte>(memory, LengthBytes);
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(memory);
        memory = null;
    }

    private static byte* AllocateZeroes()
    {
        byte* zeroes = (byte*)NativeMemory.AlignedAlloc(LengthBytes, AlignmentBytes);
        NativeMemory.Clear(zeroes, LengthBytes);
        return zeroes;
    }
}
