using Colo.Testing;
using Colo.Testing.Qemu;

namespace Colo.Benchmarks.Stacks;

/// <summary>Our NBD server over a raw file, in a process of its own (this executable's `serve` command).</summary>
internal sealed class ColoRawStack(RunningTool tool, NbdTarget target) : ToolStack("colo", tool, target)
{
    public static async Task<ColoRawStack> LaunchAsync(StackPlace place)
    {
        string socket = place.File("colo.sock");
        RawDisk.CreateIfMissing(place.File("colo.raw"), place.LengthBytes);
        return new ColoRawStack(
            await StartAsync(
                place, "colo.raw", socket, Environment.ProcessPath!, ServeCommand.Name, "--disk", place.File("colo.raw"), "--socket", socket, "--export", Export),
            new NbdTarget(socket, Export));
    }
}
