using Colo.Blocks;
using Colo.Replication;
using Colo.Simulation.Agents;
using Colo.Simulation.Mutants;

namespace Colo.Simulation.Checks;

/// <summary>The way to a secondary, below every mutant: what the secondary has really been told and has really answered.</summary>
internal sealed class WatchedLink(IReplicationLink inner, AgentParts parts) : WrappedLink(inner)
{
    /// <summary>What the resync was asked for by; known before the attach.</summary>
    public ResyncMode Asked { get; set; }

    public override async ValueTask<BlockStatus> FlushAsync()
    {
        long asked = parts.World.Registers.Tick();
        BlockStatus status = await base.FlushAsync();
        if (status == BlockStatus.Ok && !parts.Process.IsDead)
        {
            parts.World.Clearing.Flushed(parts.Machine, PeerNode, asked);
        }

        return status;
    }

    public override async ValueTask AnnounceAsync(LineageAnnouncement announcement, CancellationToken token)
    {
        if (!parts.Process.IsDead)
        {
            parts.World.Ancestry.Begins(parts.Machine, parts.World.Machine(PeerNode), announcement, Asked);
            parts.World.Clearing.Attached(parts.Machine, PeerNode);
        }

        await base.AnnounceAsync(announcement, token);
        parts.Machine.Attaches++;
        parts.World.Machine(PeerNode).Attaches++;
    }
}
