namespace Colo.Qcow2.Tables;

internal enum RunKind
{
    /// <summary>The L2 slice is not in memory.</summary>
    NotLoaded,

    /// <summary>Not in this layer.</summary>
    Hole,
    Zero,
    Data,
}

/// <summary>How a run of guest bytes is mapped; the host offset is of its first byte, for <see cref="RunKind.Data"/> only.</summary>
internal readonly record struct MappedRun(RunKind Kind, long HostOffset, long LengthBytes);
