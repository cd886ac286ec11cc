using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>The kind of volume, guest and cluster that a seed is about.</summary>
internal sealed record Profile
{
    public required bool IsLatestWrite { get; init; }

    public required long DiskBytes { get; init; }

    /// <summary>Agreed on with the peer; false: an older version on one side, or a QEMU.</summary>
    public required bool CarriesCheckpoints { get; init; }

    /// <summary>Generations, activity log and dirty map; false: an older version on one side.</summary>
    public required bool KeepsLineage { get; init; }

    public required TimeSpan CheckpointInterval { get; init; }

    public required TimeSpan HeartbeatTimeout { get; init; }

    /// <summary>A forward unanswered for so long is lost.</summary>
    public required TimeSpan PeerTimeout { get; init; }

    public required long BufferBytes { get; init; }

    public required bool DetachesWhenFull { get; init; }

    public required TimeSpan GuestPause { get; init; }

    public required int ResyncChunkBytes { get; init; }

    public required long ResyncBytesPerSecond { get; init; }

    public required long ResyncSettleBytes { get; init; }

    /// <summary>Requests that a server leaves with its device, and that a primary has on the wire.</summary>
    public required int ServerRequests { get; init; }

    public required int LinkRequests { get; init; }

    /// <summary>There is a place for the second copy to go to.</summary>
    public required bool HasThirdNode { get; init; }

    /// <summary>How often a call comes twice, all the time.</summary>
    public required double RepeatsCalls { get; init; }

    public IReadOnlyList<string> Nodes => HasThirdNode ? ["node-a", "node-b", "node-c"] : ["node-a", "node-b"];

    public static Profile Of(long seed)
    {
        Dice dice = Dice.For(seed, "profile");
        return new()
        {
            IsLatestWrite = dice.Chance(0.65),
            DiskBytes = dice.Pick<long>([512 << 10, 512 << 10, 1 << 20, 1 << 20, 2 << 20, 2 << 20, 4608 << 10]),
            CarriesCheckpoints = dice.Chance(0.75),
            CheckpointInterval = dice.Pick([TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(15)]),
            HeartbeatTimeout = dice.Pick([TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(3)]),
            PeerTimeout = dice.Pick([TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(10)]),
            BufferBytes = dice.Pick<long>([4 << 20, 14608 << 10]),
            DetachesWhenFull = dice.Chance(0.4),
            GuestPause = dice.Pick([TimeSpan.FromMilliseconds(40), TimeSpan.FromMilliseconds(150), TimeSpan.FromMilliseconds(500)]),
            ResyncChunkBytes = dice.Pick([64 << 10, 256 << 10]),
            KeepsLineage = dice.Chance(0.75),
            ResyncSettleBytes = dice.Pick<long>([32 << 20, 512 << 10, 128 << 10]),
            ServerRequests = dice.Pick([256, 256, 6]),
            LinkRequests = dice.Pick([320, 320, 5]),
            HasThirdNode = dice.Chance(0.25),
            RepeatsCalls = dice.Chance(0.2) ? 0.3 : 0,
            ResyncBytesPerSecond = dice.Chance(0.5) ? 0 : 200 << 10,
        };
    }
}
