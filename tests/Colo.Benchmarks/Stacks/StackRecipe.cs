namespace Colo.Benchmarks.Stacks;

/// <summary>
/// What a stack is made in: a directory of its own on the medium under test, one in memory for what a secondary buffers (the
/// default of a ReplicatedVolume), and the disk's length.
/// </summary>
internal sealed record StackPlace(string Directory, string BufferDirectory, long LengthBytes)
{
    public string File(string name) => Path.Combine(Directory, name);
}

/// <summary>How to start a stack.</summary>
internal sealed record StackRecipe<TStack>(string Name, Func<StackPlace, Task<TStack>> LaunchAsync)
    where TStack : IStack;

/// <summary>The stacks that are compared.</summary>
internal static class StackRecipes
{
    /// <summary>The stack that ratios are of; every other one is a peer.</summary>
    public const string Ours = "colo";

    public static IReadOnlyList<StackRecipe<IReplicatedStack>> Replicated { get; } =
    [
        new(Ours, async place => await ColoReplicatedStack.LaunchAsync(place)),
        new("qemu", async place => await QemuReplicatedStack.LaunchAsync(place)),
    ];

    public static IReadOnlyList<StackRecipe<IStack>> Unreplicated { get; } =
    [
        new(Ours, async place => await ColoRawStack.LaunchAsync(place)),
        new("nbdkit", async place => await NbdkitStack.LaunchAsync(place)),
        new("qemu-nbd", async place => await QemuNbdStack.LaunchAsync(place)),
    ];
}
