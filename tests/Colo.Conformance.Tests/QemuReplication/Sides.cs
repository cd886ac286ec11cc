namespace Colo.Conformance.Tests.QemuReplication;

/// <summary>Whose implementation stands on one side of a replicating pair.</summary>
public enum Maker
{
    Qemu,
    Colo,
}

/// <summary>The primary of a pair, its disk exported over NBD in place of a guest.</summary>
internal interface IPrimarySide : IAsyncDisposable
{
    string DiskPath { get; }

    string NbdSocket { get; }

    string Export { get; }

    /// <summary>Begins to forward writes; the secondary was started before.</summary>
    Task ReplicateToAsync(ISecondarySide secondary);

    /// <summary>A checkpoint on both sides; the guest writes nothing meanwhile.</summary>
    Task CheckpointAsync();

    /// <summary>An orderly end, after which the disk's file can be read.</summary>
    Task CloseAsync();
}

/// <summary>The secondary of a pair, with the two exports that QEMU's documentation gives it.</summary>
internal interface ISecondarySide : IAsyncDisposable
{
    string DiskPath { get; }

    string NbdSocket { get; }

    /// <summary>Takes the primary's writes.</summary>
    string ForwardExport { get; }

    /// <summary>What the secondary VM sees.</summary>
    string ViewExport { get; }

    /// <summary>What the VM uses once it was failed over to.</summary>
    string PromotedExport { get; }

    Task StartAsync();

    /// <summary>This side's part alone.</summary>
    Task CheckpointAsync();

    /// <summary>To the last checkpoint; ends when the view has been committed into the disk.</summary>
    Task FailoverAsync();

    /// <summary>An orderly end, after which the disk's file can be read.</summary>
    Task CloseAsync();
}
