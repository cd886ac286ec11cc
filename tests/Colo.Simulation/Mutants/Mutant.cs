using Colo.AgentApi;
using Colo.Blocks;
using Colo.Driver;
using Colo.Replication;
using Colo.Simulation.Agents;
using Role = Colo.AgentApi.Role;

namespace Colo.Simulation.Mutants;

/// <summary>A bug that is planted on purpose, between the product and what it is handed; this one plants none. A simulator that does not find
/// one of these within a bounded number of seeds would not find the like in the product either.</summary>
internal class Mutant
{
    public static Mutant None { get; } = new();

    public static Mutant Named(string? name) => name is null ? None
        : Planted.All.TryGetValue(name, out Func<Mutant>? plant) ? plant()
        : throw new FormatException($"there is no mutant {name}; there are {string.Join(", ", Planted.All.Keys)}");

    /// <summary>A promotion ends the connections of the primary before.</summary>
    public bool CutsFormerPrimary { get; init; } = true;

    public virtual IArbiter Wrap(IArbiter arbiter, AgentParts parts) => arbiter;

    public virtual IBlockDevice Wrap(IBlockDevice disk, Role role, AgentParts parts) => disk;

    public virtual IEpochStore Wrap(IEpochStore epochs, AgentParts parts) => epochs;

    public virtual ILineageStore Wrap(ILineageStore lineage, AgentParts parts) => lineage;

    /// <summary>A generation that was drawn.</summary>
    public virtual GenerationId Draw(GenerationId drawn, AgentParts parts) => drawn;

    public virtual ITermStore Wrap(ITermStore terms, AgentParts parts) => terms;

    /// <summary>The way to the secondary, on the primary's side.</summary>
    public virtual IReplicationLink Wrap(IReplicationLink link, AgentParts parts) => link;

    /// <summary>What a primary writes to, on the secondary's side.</summary>
    public virtual IBlockDevice Wrap(ReplicationTarget target, AgentParts parts) => target;

    /// <summary>What the guest uses.</summary>
    public virtual IBlockDevice WrapGuest(IBlockDevice replica, AgentParts parts) => replica;

    /// <summary>The record as the control plane reads and changes it.</summary>
    public virtual IVolumeRecordStore Wrap(IVolumeRecordStore record) => record;

    /// <summary>What the control plane sees.</summary>
    public virtual AgentSight Change(AgentSight sight) => sight;
}
