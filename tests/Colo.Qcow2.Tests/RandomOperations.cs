using Colo.Blocks;

namespace Colo.Qcow2.Tests;

public enum OperationKind
{
    Write,
    Zero,
    ZeroAndUnmap,
    Discard,
    Reopen,
    MakeEmpty,
    Resize,
    Flush,
}

/// <summary>One step of a random history; the numbers are scaled to the disk's length when it runs.</summary>
public readonly record struct Operation(OperationKind Kind, double Position, double Size, byte Fill)
{
    public BlockRange RangeIn(long length)
    {
        long offset = (long)(Position * length);
        long bytes = Math.Min(length - offset, 1 + (long)(Size * Size * Size * length));
        return new(offset, bytes);
    }

    public override string ToString() => $"{Kind} {Position:R} {Size:R} {Fill}";
}

/// <summary>An array that should always equal the image. Discarded bytes may be old or zero until they are written again.</summary>
public sealed class Oracle(long length)
{
    private byte[] content = new byte[length];

    public ReadOnlySpan<byte> Content => content;

    public void Apply(Operation operation, byte[] afterwards)
    {
        BlockRange range = operation.RangeIn(content.Length);
        Span<byte> target = content.AsSpan((int)range.Offset, (int)range.Length);
        switch (operation.Kind)
        {
            case OperationKind.Write:
                Pattern(range, operation.Fill).CopyTo(target);
                break;
            case OperationKind.Zero:
            case OperationKind.ZeroAndUnmap:
                target.Clear();
                break;
            case OperationKind.MakeEmpty:
                content.AsSpan().Clear();
                break;
            case OperationKind.Discard:
                for (int i = (int)range.Offset; i < (int)range.End; i++)
                {
                    content[i] = afterwards[i] == 0 ? (byte)0 : content[i];
                }

                break;
            default:
                break;
        }
    }

    public void Resize(long newLength) => Array.Resize(ref content, (int)newLength);

    public static byte[] Pattern(BlockRange range, byte fill)
    {
        byte[] bytes = new byte[range.Length];
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)(1 + ((fill + ((range.Offset + i) / 64)) % 250));
        }

        return bytes;
    }
}
