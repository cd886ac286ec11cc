using Colo.Blocks;

namespace Colo.Replication.Tests.Kit;

/// <summary>Reads and writes patterns; comparisons name the first byte that differs.</summary>
internal static class Bytes
{
    public static async Task WriteAsync(this IBlockDevice device, long offset, int length, byte pattern, BlockStatus expected = BlockStatus.Ok) =>
        (await device.WriteAsync(offset, Enumerable.Repeat(pattern, length).ToArray())).ShouldBe(expected);

    public static async Task<byte[]> ReadAsync(this IBlockDevice device, long offset, int length)
    {
        byte[] content = new byte[length];
        (await device.ReadAsync(offset, content.AsMemory())).ShouldBe(BlockStatus.Ok);
        return content;
    }

    public static async Task ShouldHoldAsync(this IBlockDevice device, long offset, int length, byte pattern) =>
        ShouldBeFilled(await device.ReadAsync(offset, length), pattern, offset);

    public static void ShouldHold(this ReadOnlySpan<byte> content, long offset, int length, byte pattern) =>
        ShouldBeFilled(content.Slice((int)offset, length).ToArray(), pattern, offset);

    public static void ShouldHold(this Span<byte> content, long offset, int length, byte pattern) =>
        ShouldHold((ReadOnlySpan<byte>)content, offset, length, pattern);

    public static void ShouldEqual(this Span<byte> actual, ReadOnlySpan<byte> expected, string what)
    {
        int at = actual.CommonPrefixLength(expected);
        (at == actual.Length && at == expected.Length)
            .ShouldBeTrue(at < actual.Length ? $"{what}: byte {at} is {actual[at]:x2}, expected {expected[at]:x2}" : what);
    }

    private static void ShouldBeFilled(byte[] content, byte pattern, long offset)
    {
        int at = content.AsSpan().IndexOfAnyExcept(pattern);
        at.ShouldBe(-1, at < 0 ? string.Empty : $"byte {offset + at} is {content[at]:x2}, expected {pattern:x2}");
    }
}
