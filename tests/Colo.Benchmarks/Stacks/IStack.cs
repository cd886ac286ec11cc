namespace Colo.Benchmarks.Stacks;

/// <summary>Where a load finds the disk: a unix socket and an export name.</summary>
internal sealed record NbdTarget(string Socket, string Export)
{
    public string Uri => $"nbd+unix:///{Export}?socket={Socket}";
}

/// <summary>One or more server processes that serve one disk over NBD, all of them ours to stop.</summary>
internal interface IStack : IAsyncDisposable
{
    string Name { get; }

    NbdTarget Target { get; }

    /// <summary>Every process whose CPU and memory belong to serving this disk.</summary>
    IReadOnlyList<int> ServerPids { get; }
}

/// <summary>A stack whose writes go to two disks, and whose secondary buffers what a checkpoint drops.</summary>
internal interface IReplicatedStack : IStack
{
    /// <summary>The guest must be stopped during a checkpoint: QEMU 7.2's secondary aborts when a write meets it.</summary>
    bool NeedsStoppedGuest { get; }

    /// <summary>Both sides; returns when the secondary's view is the primary's disk.</summary>
    Task CheckpointAsync();

    /// <summary>Bytes that the secondary's buffers (hidden and active disk) take on their medium now.</summary>
    long BufferBytes();
}
