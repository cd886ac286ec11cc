using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Engine;
using Colo.Simulation.World;

namespace Colo.Simulation.Checks;

/// <summary>
/// What each checkpoint was: the secondary's disk when it swapped its buffers. It must hold every write that was acknowledged before the
/// checkpoint was asked for (invariant 4), and it is what the view shows and a failover to it gives, to the byte (invariants 3 and 7).
/// </summary>
internal sealed class CheckpointChecks(SimWorld world, Registers registers)
{
    private readonly Dictionary<string, (long Epoch, int[] Values)> last = new(StringComparer.Ordinal);
    private SimProcess? asker;
    private long askedAt = -1;
    private bool hasSwapped;
    private string? wrong;

    /// <summary>This primary has been asked for one, and was not told yet.</summary>
    public bool IsUnderWay(Machine machine) => askedAt >= 0 && asker is { IsDead: false } && asker == machine.Process;

    /// <summary>A checkpoint is asked of the primary.</summary>
    public void Asked(Machine machine)
    {
        asker = machine.Process;
        askedAt = registers.Tick();
        (wrong, hasSwapped) = (null, false);
    }

    public void Failed() => asker = null;

    /// <summary>The secondary has swapped.</summary>
    public void Closed(Machine machine, SecondaryReplica replica, CheckpointReport report)
    {
        int[] values = Content.ValuesOf(machine.Medium!.Content);
        last[machine.Node] = (replica.Epoch, values);
        hasSwapped = true;
        wrong = askedAt < 0
            ? null
            : Enumerable.Range(0, values.Length).Select(s => registers.Check(s, values[s], askedAt, observes: false)).FirstOrDefault(w => w is not null);
        _ = report;
    }

    /// <summary>The primary was told so: from now on the checkpoint counts.</summary>
    public void Told(Machine machine, CheckpointReport report)
    {
        if (askedAt >= 0 && !hasSwapped)
        {
            wrong = "the secondary has made none";
        }

        if (wrong is not null)
        {
            world.Violated(new("4 a checkpoint holds every write of its epoch", $"epoch {report.Epoch} of {machine.Node}: {wrong}"));
        }

        askedAt = -1;
    }

    /// <returns>What the guest must find.</returns>
    public IReadOnlyList<int> Promoted(Machine machine, int[]? values)
    {
        if (!last.TryGetValue(machine.Node, out (long Epoch, int[] Values) checkpoint))
        {
            world.Violated(new("3 failover gives the last checkpoint", $"{machine.Node} is promoted and had none"));
            return values ?? [];
        }

        for (int sector = 0; sector < values?.Length; sector++)
        {
            if (values[sector] != checkpoint.Values[sector])
            {
                world.Violated(new(
                    "3 failover gives the last checkpoint", $"{machine.Node}, sector {sector}: {values[sector]} instead of {checkpoint.Values[sector]}"));
                break;
            }
        }

        return checkpoint.Values;
    }

    /// <summary>The secondary VM looks at its disk.</summary>
    public async Task LookAsync(Machine machine, SecondaryReplica replica, int firstSector, int count)
    {
        long epoch = replica.Epoch;
        byte[] buffer = new byte[count * Medium.SectorBytes];
        if (!replica.HasView || !last.TryGetValue(machine.Node, out (long Epoch, int[] Values) checkpoint) || checkpoint.Epoch != epoch
            || await replica.VmView.ReadAsync((long)firstSector * Medium.SectorBytes, buffer) != BlockStatus.Ok
            || replica.Epoch != epoch || world.IsDeadAgent(machine))
        {
            return;
        }

        world.Coverage.Count("check:view");
        int[] seen = Content.ValuesOf(buffer, firstSector);
        for (int i = 0; i < count; i++)
        {
            if (seen[i] != checkpoint.Values[firstSector + i])
            {
                world.Violated(new(
                    "7 the view is the last checkpoint",
                    $"{machine.Node}, epoch {epoch}, sector {firstSector + i}: {seen[i]} instead of {checkpoint.Values[firstSector + i]}"));
                return;
            }
        }
    }
}
