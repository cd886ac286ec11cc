using Colo.Agent.Volumes;
using Colo.Testing;

namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>What a killed agent left behind, judged by qemu-img.</summary>
internal static class DeadImages
{
    private const int Leaks = 3;
    private const int CannotOpen = 1;

    /// <summary>
    /// Hidden and active disk of the pair that counts have no corruption. A pair that does not count yet, or no more, may be unfinished:
    /// nobody opens it again.
    /// </summary>
    /// <returns>How many images were looked at.</returns>
    public static async Task<int> CheckAsync(TwoNodes nodes, string node)
    {
        string directory = nodes.Buffers(node);
        string[] images = Directory.Exists(directory) ? Directory.GetFiles(directory, "*.qcow2") : [];
        long epoch = new EpochStore(directory, nodes.Disk(node), 0).Read().Epoch;
        foreach (string image in images)
        {
            bool counts = Path.GetFileName(image).EndsWith($"-{epoch}.qcow2", StringComparison.Ordinal);
            ToolResult check = await Tool.RunAsync("qemu-img", "check", image);
            bool clean = check.ExitCode is 0 or Leaks || (!counts && check.ExitCode == CannotOpen);
            clean.ShouldBeTrue($"{image} (epoch {epoch}): qemu-img check ended with {check.ExitCode}\n{check.Output}\n{check.Error}");
        }

        return images.Length;
    }
}
