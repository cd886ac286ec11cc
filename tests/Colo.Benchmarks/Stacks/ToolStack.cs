using Colo.Testing;
using Colo.Testing.Qemu;

namespace Colo.Benchmarks.Stacks;

/// <summary>An NBD server that is one foreign program over one raw file.</summary>
internal abstract class ToolStack(string name, RunningTool tool, NbdTarget target) : IStack
{
    public const string Export = "disk";

    public string Name => name;

    public NbdTarget Target => target;

    public IReadOnlyList<int> ServerPids { get; } = [tool.Pid];

    public ValueTask DisposeAsync() => tool.DisposeAsync();

    protected static async Task<RunningTool> StartAsync(StackPlace place, string diskName, string socket, string file, params string[] arguments)
    {
        RawDisk.CreateIfMissing(place.File(diskName), place.LengthBytes);
        RunningTool tool = RunningTool.Start(file, arguments);
        await Eventually.TrueAsync(
            () => tool.Process.HasExited ? throw new InvalidOperationException($"{file} ended: {tool.Error}") : File.Exists(socket),
            $"{file}'s socket");
        return tool;
    }
}

/// <summary>nbdkit's file plugin: what the machine gives.</summary>
internal sealed class NbdkitStack(RunningTool tool, NbdTarget target) : ToolStack("nbdkit", tool, target)
{
    public static async Task<NbdkitStack> LaunchAsync(StackPlace place)
    {
        string socket = place.File("nbdkit.sock");
        return new NbdkitStack(
            await StartAsync(place, "nbdkit.raw", socket, "nbdkit", "--foreground", "--unix", socket, "--exportname", Export, "file", place.File("nbdkit.raw")),
            new NbdTarget(socket, Export));
    }
}

/// <summary>qemu-nbd with its best asynchronous I/O.</summary>
internal sealed class QemuNbdStack(RunningTool tool, NbdTarget target) : ToolStack("qemu-nbd", tool, target)
{
    public static async Task<QemuNbdStack> LaunchAsync(StackPlace place)
    {
        string socket = place.File("qemu-nbd.sock");
        return new QemuNbdStack(
            await StartAsync(
                place, "qemu-nbd.raw", socket,
                "qemu-nbd", "-f", "raw", "--persistent", "--aio=io_uring", "--cache=writeback", "-k", socket, "-x", Export, place.File("qemu-nbd.raw")),
            new NbdTarget(socket, Export));
    }
}
