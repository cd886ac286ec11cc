using Colo.Blocks;
using Colo.Testing;

namespace Colo.Linux.Tests;

public sealed class FileCopyTests
{
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task A_copy_has_the_same_bytes_and_the_same_holes(bool acrossFileSystems, bool direct)
    {
        const int Length = 16 << 20;
        using TempDirectory directory = new();
        using TempDirectory other = new(onTmpfs: acrossFileSystems);
        RawFileOptions options = new() { DirectIo = direct };
        await using RawFile source = RawFile.Create(directory.File("source"), Length, options: options);
        await using RawFile target = RawFile.Create(other.File("target"), Length, options: options);
        byte[] bytes = new byte[3 << 20];
        new Random(2).NextBytes(bytes);
        await source.WriteExactlyAsync(4 << 20, bytes);
        await target.WriteExactlyAsync(0, bytes);
        (await FileCopy.CopyAsync(source, 0, target, 0, Length, CancellationToken.None)).ShouldBe(BlockStatus.Ok);
        await target.FlushOrThrowAsync();
        byte[] expected = new byte[Length];
        bytes.CopyTo(expected, 4 << 20);
        byte[] read = new byte[Length];
        await target.ReadExactlyAsync(0, read);
        read.AsSpan().SequenceEqual(expected).ShouldBeTrue();
        target.GetAllocatedBytes().ShouldBeLessThan(Length / 2);
    }

    [Fact]
    public async Task A_copy_past_either_end_is_refused()
    {
        using TempDirectory directory = new();
        await using RawFile source = RawFile.Create(directory.File("source"), 8192);
        await using RawFile target = RawFile.Create(directory.File("target"), 4096);
        (await FileCopy.CopyAsync(source, 4096, target, 0, 8192, CancellationToken.None)).ShouldBe(BlockStatus.InvalidArgument);
        (await FileCopy.CopyAsync(source, 0, target, 0, 8192, CancellationToken.None)).ShouldBe(BlockStatus.NoSpace);
    }
}
