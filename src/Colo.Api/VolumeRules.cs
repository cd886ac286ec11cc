using System.Text.RegularExpressions;

namespace Colo.Api;

/// <summary>
/// One rule that a spec must meet beyond its shape. <paramref name="Cel"/> is the same rule for the CRD (self is the spec, defaults
/// filled in); both say <paramref name="Message"/> when it is broken.
/// </summary>
/// <remarks>
/// A quantity may be a bare number there, hence the questions for its type: <c>string(x)</c> would do for both, but the API server takes its
/// result for boundlessly long and refuses the whole CRD as too costly. <c>quantity</c> needs Kubernetes 1.29.
/// </remarks>
/// <param name="Path">The field to look at, from the spec: <c>failover.heartbeatTimeout</c>.</param>
public sealed record VolumeRule(string Path, string Cel, string Message, Func<ReplicatedVolumeSpec, bool> Holds);

/// <summary>A rule for changes: oldSelf is the spec before.</summary>
public sealed record VolumeChangeRule(string Path, string Cel, string Message, Func<ReplicatedVolumeSpec, ReplicatedVolumeSpec, bool> Holds);

/// <summary>The rules of a volume, in one list: `coloctl` checks them here, the CRD carries them as CEL.</summary>
public static partial class VolumeRules
{
    /// <summary>Copy-before-write works in grains of this size; a smaller rest would need a path of its own.</summary>
    public const int GrainBytes = 4096;

    /// <summary>A Kubernetes label: also a file name and an NBD export name.</summary>
    public const string NamePattern = "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";

    /// <summary>Below this the buffer's own metadata would fill it.</summary>
    public static readonly ByteQuantity SmallestBuffer = ByteQuantity.FromMebibytes(4);

    /// <summary>qcow2 buffers with 128 KiB clusters and an L1 of at most 32 MiB reach this far.</summary>
    public static readonly ByteQuantity LargestVolume = new(1L << 46);

    private const string NewSize = "(type(self.size) == int ? int(self.size) : quantity(self.size).asInteger())";
    private const string OldSize = "(type(oldSelf.size) == int ? int(oldSelf.size) : quantity(oldSelf.size).asInteger())";

    private static readonly TimeSpan ShortestHeartbeat = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LongestHeartbeat = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan ShortestInterval = TimeSpan.FromMilliseconds(100);

    public static IReadOnlyList<VolumeRule> All { get; } =
    [
        new("size",
            "(type(self.size) == int || quantity(self.size).isInteger()) && " + NewSize + " > 0 && " + NewSize + " % 4096 == 0",
            "must be above 0 and a multiple of 4Ki",
            s => s.Size.Bytes > 0 && s.Size.Bytes % GrainBytes == 0),
        new("size", NewSize + " <= 70368744177664", "must be at most 64Ti", s => s.Size <= LargestVolume),
        new("storagePool", "self.storagePool.matches('" + NamePattern + "')",
            "must be lower-case letters, digits and '-', 1 to 63 of them",
            s => Label().IsMatch(s.StoragePool)),
        new("placement.secondaryNode", "self.placement.primaryNode == '' || self.placement.primaryNode != self.placement.secondaryNode",
            "must be another node than placement.primaryNode",
            s => s.Placement.PrimaryNode.Length == 0 || s.Placement.PrimaryNode != s.Placement.SecondaryNode),
        new("buffer.sizeLimit",
            "type(self.buffer.sizeLimit) == int ? self.buffer.sizeLimit >= 4194304 : !quantity(self.buffer.sizeLimit).isLessThan(quantity('4Mi'))",
            "must be at least 4Mi",
            s => s.Buffer.SizeLimit >= SmallestBuffer),
        new("checkpoint.interval", "duration(self.checkpoint.interval) == duration('0s') || duration(self.checkpoint.interval) >= duration('100ms')",
            "must be 0 (only when asked for) or at least 100ms",
            s => s.Checkpoint.Interval == default || s.Checkpoint.Interval.Value >= ShortestInterval),
        new("failover.heartbeatTimeout",
            "duration(self.failover.heartbeatTimeout) >= duration('500ms') && duration(self.failover.heartbeatTimeout) <= duration('5m')",
            "must be from 500ms to 5m",
            s => s.Failover.HeartbeatTimeout.Value >= ShortestHeartbeat && s.Failover.HeartbeatTimeout.Value <= LongestHeartbeat),
        new("failover.recoveryPoint",
            "self.mode == 'HighAvailability' || !has(self.failover.recoveryPoint) || self.failover.recoveryPoint == 'LastCheckpoint'",
            "must be LastCheckpoint in this mode: the saved VM state belongs to the disk of the last checkpoint",
            s => s.Mode == VolumeMode.HighAvailability || s.Failover.RecoveryPoint is null or RecoveryPoint.LastCheckpoint),
        new("checkpoint.interval", "self.mode == 'HighAvailability' || duration(self.checkpoint.interval) > duration('0s')",
            "must not be 0 in this mode: failover gives the last checkpoint",
            s => s.Mode == VolumeMode.HighAvailability || s.Checkpoint.Interval > default(Duration)),
        new("resync.maxBytesPerSecond", "self.resync.maxBytesPerSecond >= 0", "must be 0 (no limit) or more",
            s => s.Resync.MaxBytesPerSecond >= 0),
        new("source", "[has(self.source.url), has(self.source.nbd), has(self.source.pvc)].filter(x, x).size() <= 1",
            "must name at most one of url, nbd and pvc",
            s => CountSources(s.Source) <= 1),
    ];

    public static IReadOnlyList<VolumeChangeRule> Changes { get; } =
    [
        new("size", NewSize + " >= " + OldSize, "may grow, never shrink", (old, now) => now.Size >= old.Size),
        new("storagePool", "self.storagePool == oldSelf.storagePool", "cannot be changed", (old, now) => now.StoragePool == old.StoragePool),
        new("mode", "oldSelf.mode != 'Colo' || self.mode == 'Colo'", "cannot be changed back from Colo",
            (old, now) => old.Mode != VolumeMode.Colo || now.Mode == VolumeMode.Colo),
    ];

    /// <summary>A Kubernetes object name, cut to what is also a file name and an NBD export name.</summary>
    public static bool IsName(string name) => Label().IsMatch(name);

    private static int CountSources(SourceSpec source) =>
        (source.Url is null ? 0 : 1) + (source.Nbd is null ? 0 : 1) + (source.Pvc is null ? 0 : 1);

    [GeneratedRegex(NamePattern + @"\z", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Label();
}
