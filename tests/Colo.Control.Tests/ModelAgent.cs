using Colo.Api;

namespace Colo.Control.Tests;

internal sealed class ModelAgent(string node)
{
    public string Node { get; } = node;

    public bool Up { get; set; } = true;

    public bool Frozen { get; set; }

    public bool Answers => Up && !Frozen;

    /// <summary>The node object is there.</summary>
    public bool Listed { get; set; } = true;

    public bool Cordoned { get; set; }

    public bool Excluded { get; set; }

    /// <summary>The probe of its pool fails; what is written still arrives, for a hang is not a loss.</summary>
    public bool DiskHangs { get; set; }

    public bool Exists { get; set; }

    public bool Opened { get; set; }

    public ReplicaRole Role { get; set; }

    public ReplicaStage Stage { get; set; }

    public long Term { get; set; }

    public bool Connected { get; set; }

    /// <summary>Primary: to whom it replicates, or last did.</summary>
    public string? PeerNode { get; set; }

    public int Content { get; set; }
}
