using Colo.Blocks;
using Colo.Qcow2;
using Colo.Testing;

namespace Colo.Conformance.Tests.Qcow2;

/// <summary>QEMU's tools as the other side of the format, and a raw file as the judge of content.</summary>
internal static class QemuImg
{
    public static async Task<string> RunAsync(params string[] arguments) => (await Tool.RunAsync("qemu-img", arguments)).EnsureSuccess();

    public static Task<string> CheckAsync(string image) => RunAsync("check", "-f", "qcow2", image);

    public static async Task IoAsync(string image, params string[] commands)
    {
        List<string> arguments = ["-f", "qcow2"];
        foreach (string command in commands)
        {
            arguments.AddRange(["-c", command]);
        }

        string said = (await Tool.RunAsync("qemu-io", [.. arguments, image])).EnsureSuccess();
        said.ShouldNotContain("failed", Case.Insensitive);
    }

    /// <summary>The image, backing files included, is byte-equal to <paramref name="expected"/> in QEMU's eyes.</summary>
    public static async Task ShouldHoldAsync(string image, byte[] expected)
    {
        string raw = image + ".expected";
        await File.WriteAllBytesAsync(raw, expected);
        ToolResult compare = await Tool.RunAsync("qemu-img", "compare", "-f", "qcow2", "-F", "raw", image, raw);
        compare.ExitCode.ShouldBe(0, compare.Output + compare.Error);
    }

    /// <summary>What QEMU reads from the image, backing files included.</summary>
    public static async Task<byte[]> ReadAsync(string image)
    {
        await RunAsync("convert", "-f", "qcow2", "-O", "raw", image, image + ".raw");
        return await File.ReadAllBytesAsync(image + ".raw");
    }

    public static async Task<byte[]> ReadAllAsync(IBlockDevice device)
    {
        byte[] all = new byte[device.LengthBytes];
        (await device.ReadAsync(0, all)).ShouldBe(BlockStatus.Ok);
        return all;
    }

    /// <summary>Seeded writes, zeroes and discards; gives back what the disk must hold then.</summary>
    public static async Task<byte[]> ScribbleAsync(IBlockDevice device, int seed, int operations, byte[]? before = null)
    {
        Random random = new(seed);
        byte[] expected = before ?? await ReadAllAsync(device);
        for (int i = 0; i < operations; i++)
        {
            long offset = random.NextInt64(device.LengthBytes);
            long length = Math.Min(device.LengthBytes - offset, 1 + random.Next(random.Next(4) == 0 ? 400_000 : 9000));
            byte[] data = new byte[length];
            BlockStatus status;
            switch (random.Next(6))
            {
                case 0:
                    status = await device.WriteZeroesAsync(new(offset, length), random.Next(2) == 0 ? RequestFlags.MayUnmap : RequestFlags.None);
                    break;
                default:
                    random.NextBytes(data);
                    status = await device.WriteAsync(offset, data);
                    break;
            }

            status.ShouldBe(BlockStatus.Ok);
            data.CopyTo(expected, offset);
        }

        return expected;
    }

    public static ValueTask<Qcow2Image> OpenAsync(string path, bool readOnly = false) =>
        Qcow2Image.OpenAsync(ImageFile.Open(path, readOnly), new() { ReadOnly = readOnly });
}
