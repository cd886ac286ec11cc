using Colo.Agent.Volumes;
using Colo.Nbd.Server;
using Colo.Simulation.Engine;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's ReplicationExports. What it has to wait for, the connection's fiber waits for: the real handshake blocks its thread.</summary>
internal sealed class SimExports : INbdExportProvider
{
    private (string Uid, long Term, NbdExport? Export, NbdExport? Lineage, Func<CancellationToken, Task<string?>> Refusal)? target;

    public void Announce(string uid, long term) => target = (uid, term, null, null, _ => Task.FromResult<string?>("it is not started yet"));

    public void Serve(string uid, long term, NbdExport export, NbdExport? lineage, Func<CancellationToken, Task<string?>> refusal) =>
        target = (uid, term, export, lineage, refusal);

    public void Remove(string uid) => target = null;

    public ValueTask<IReadOnlyList<NbdExport>> ListAsync(NbdPeer peer, CancellationToken cancellationToken) => new([]);

    public ValueTask<NbdExportAnswer> FindAsync(string name, NbdPeer peer, CancellationToken cancellationToken)
    {
        if (target is not { } here || here.Uid != name[..name.LastIndexOf('@')])
        {
            return new(NbdExportAnswer.Unknown("no secondary of this volume on this node"));
        }

        bool asksLineage = name.EndsWith(LineageExport.NameOf(""), StringComparison.Ordinal);
        name = asksLineage ? name[..^LineageExport.NameOf("").Length] : name;
        if (asksLineage && here.Lineage is null && here.Export is not null)
        {
            return new(NbdExportAnswer.Unknown("it keeps no lineage"));
        }

        if (name != ReplicationExports.NameOf(here.Uid, here.Term))
        {
            return new(NbdExportAnswer.RefusedByPolicy($"{name} is over, or not yet: the secondary is of term {here.Term}"));
        }

        string? refusal = Await(here.Refusal(cancellationToken));
        return new(refusal is null ? NbdExportAnswer.Serve(asksLineage ? here.Lineage! : here.Export!) : NbdExportAnswer.RefusedByPolicy(refusal));
    }

    private static string? Await(Task<string?> task)
    {
        Fiber fiber = Fiber.Current ?? throw new InvalidOperationException("an export is looked for by the pool's thread");
        if (!task.IsCompleted)
        {
            task.GetAwaiter().UnsafeOnCompleted(fiber.ResumeSoon);
            while (!task.IsCompleted)
            {
                fiber.Wait();
            }
        }

        return task.GetAwaiter().GetResult();
    }
}
