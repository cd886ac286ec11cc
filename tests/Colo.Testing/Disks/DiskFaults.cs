namespace Colo.Testing.Disks;

/// <summary>How a disk is at the moment: what each request that reaches it meets. What the kernel would answer from its caches (names,
/// attributes, an open file) meets nothing.</summary>
internal sealed class DiskFaults : IDisposable
{
    private readonly ManualResetEventSlim answers = new(initialState: true);

    /// <summary>Every request is answered EIO.</summary>
    public bool Fails { get; set; }

    /// <summary>Every flush, and nothing else.</summary>
    public bool FailsFlushes { get; set; }

    /// <summary>No request is answered.</summary>
    public void Hang() => answers.Reset();

    public void GoOn() => answers.Set();

    /// <returns>0, or the errno that it is answered with.</returns>
    public int Meet(FuseOpcode opcode)
    {
        if (!ReachesDisk(opcode))
        {
            return 0;
        }

        answers.Wait();
        return Fails || (FailsFlushes && opcode is FuseOpcode.Fsync or FuseOpcode.FsyncDirectory) ? Posix.EIO : 0;
    }

    public void Dispose() => answers.Dispose();

    private static bool ReachesDisk(FuseOpcode opcode) => opcode is FuseOpcode.Read or FuseOpcode.Write or FuseOpcode.Fsync or FuseOpcode.FsyncDirectory
        or FuseOpcode.Create or FuseOpcode.MakeDirectory or FuseOpcode.Unlink or FuseOpcode.RemoveDirectory or FuseOpcode.Rename or FuseOpcode.Rename2
        or FuseOpcode.SetAttributes or FuseOpcode.Fallocate;
}
