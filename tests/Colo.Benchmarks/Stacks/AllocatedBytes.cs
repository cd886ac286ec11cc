using System.Diagnostics;
using System.Globalization;

namespace Colo.Benchmarks.Stacks;

/// <summary>What files take on their medium (st_blocks), holes not counted.</summary>
internal static class AllocatedBytes
{
    public static long OfFile(string path) => Du(path);

    public static long OfDirectory(string path) => Du(path);

    private static long Du(string path)
    {
        ProcessStartInfo info = new("du", ["--block-size=1", "--summarize", path]) { RedirectStandardOutput = true, UseShellExecute = false };
        using Process du = Process.Start(info)!;
        string output = du.StandardOutput.ReadToEnd();
        du.WaitForExit();
        return long.Parse(output.AsSpan(0, output.IndexOf('\t', StringComparison.Ordinal)), CultureInfo.InvariantCulture);
    }
}
