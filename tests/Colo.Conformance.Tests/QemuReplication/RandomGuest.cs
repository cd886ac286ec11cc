using System.Globalization;
using Colo.Testing;
using Colo.Testing.Qemu;

namespace Colo.Conformance.Tests.QemuReplication;

/// <summary>
/// A guest that writes random patterns over NBD (by qemu-io, sector-sized and larger, with zeroes and discards among them) and
/// knows what its disk must hold.
/// </summary>
internal sealed class RandomGuest(string nbdSocket, string export, long lengthBytes, int seed)
{
    private const int Sector = 512;
    private const int LongestWrite = 160 << 10;

    private readonly Random random = new(seed);

    /// <summary>What was acknowledged so far.</summary>
    public byte[] Expected { get; } = new byte[lengthBytes];

    public async Task WriteAsync(int count)
    {
        List<string> arguments = ["-f", "raw"];
        for (int i = 0; i < count; i++)
        {
            int length = random.Next(1, LongestWrite / Sector) * Sector;
            int offset = random.Next(0, (int)((lengthBytes - length) / Sector)) * Sector;
            byte pattern = (byte)random.Next(1, 256);
            bool zero = random.Next(8) == 0;
            Expected.AsSpan(offset, length).Fill(zero ? (byte)0 : pattern);
            arguments.AddRange(["-c", string.Create(CultureInfo.InvariantCulture, $"{(zero ? "write -z" : $"write -P {pattern}")} {offset} {length}")]);
        }

        arguments.AddRange(["-c", "flush", $"nbd+unix:///{export}?socket={nbdSocket}"]);
        string said = (await Tool.RunAsync("qemu-io", arguments)).EnsureSuccess();
        said.Split('\n').Count(line => line.StartsWith("wrote ", StringComparison.Ordinal)).ShouldBe(count, $"seed {seed}: {said}");
    }

    /// <summary>All bytes of an export, as nbdcopy reads them.</summary>
    public static async Task<byte[]> ReadAllAsync(TempDirectory directory, string nbdSocket, string export)
    {
        string copy = directory.File("copy-" + Guid.NewGuid().ToString("N")[..8]);
        (await Tool.RunAsync("nbdcopy", $"nbd+unix:///{export}?socket={nbdSocket}", copy)).EnsureSuccess();
        return await File.ReadAllBytesAsync(copy);
    }
}
