using System.Globalization;
using Colo.Linux.Native;

namespace Colo.Linux;

/// <summary>What the kernel tells of a block device under /sys: a device cannot be probed without changing it.</summary>
internal static class BlockQueue
{
    public static bool CanZeroAndDiscard(StatxBuffer stat) =>
        Limit(stat, "discard_max_bytes") > 0 && Limit(stat, "write_zeroes_max_bytes") > 0;

    /// <summary>A partition has no queue of its own; its disk, one folder up, has.</summary>
    private static long Limit(StatxBuffer stat, string name)
    {
        string device = string.Create(CultureInfo.InvariantCulture, $"/sys/dev/block/{stat.RdevMajor}:{stat.RdevMinor}");
        foreach (string queue in new[] { "queue", "../queue" })
        {
            // The link must be followed before "..": the text of the path would lead elsewhere.
            string real = Directory.ResolveLinkTarget(device, returnFinalTarget: true)?.FullName ?? device;
            string path = Path.Combine(real, queue, name);
            if (File.Exists(path))
            {
                return long.Parse(File.ReadAllText(path).AsSpan().Trim(), CultureInfo.InvariantCulture);
            }
        }

        return 0;
    }
}
