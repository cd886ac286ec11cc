using System.Text.Json;
using System.Text.Json.Serialization;

namespace Colo.Agent.Volumes;

/// <summary>What a replica must remember over the death of its agent; kept beside its disk, written atomically at each change.</summary>
public sealed record ReplicaState
{
    /// <summary>Raised when an older agent could misread the file; an agent refuses a version above its own.</summary>
    public const int CurrentVersion = 1;

    public required int Version { get; init; }

    public required ReplicaSpec Spec { get; init; }

    /// <summary>Never falls; calls and connections below it are refused.</summary>
    public required long HighestTerm { get; init; }

    /// <summary>Start was called under this term.</summary>
    public bool Started { get; init; }

    /// <summary>Replication of this term has ended by Stop; a restart must not begin it again.</summary>
    public bool Stopped { get; init; }

    /// <summary>A promotion whose buffer is not known to be committed or dropped: redone at adoption.</summary>
    public bool Promoting { get; init; }

    /// <summary>Release was called: a restart leaves the files alone.</summary>
    public bool Released { get; init; }

    /// <summary>Secondary: the epoch pair that is in use.</summary>
    public long Epoch { get; init; } = 1;

    /// <summary>Checkpoints completed under this term.</summary>
    public long CheckpointSequence { get; init; }

    /// <summary>Closed after draining and flushing. False from opening to closing: what was in flight then is on one side only.</summary>
    public bool Clean { get; init; }

    /// <summary>The kernel's boot id when it was opened: the page cache and tmpfs of another boot are gone.</summary>
    public string BootId { get; init; } = "";
}

/// <summary>Reads and writes <see cref="ReplicaState"/>.</summary>
public static class ReplicaStateFile
{
    private const int MaxBytes = 256 << 10;

    /// <exception cref="VolumeFaultException">Damaged: not readable as a state of this version or an older one.</exception>
    /// <returns>null where there is none.</returns>
    public static ReplicaState? Read(string path)
    {
        try
        {
            FileInfo file = new(path);
            if (!file.Exists)
            {
                return null;
            }

            if (file.Length > MaxBytes)
            {
                throw new VolumeFaultException(VolumeFaultKind.Damaged, $"{path}: {file.Length} bytes, at most {MaxBytes}");
            }

            ReplicaState state = JsonSerializer.Deserialize(File.ReadAllBytes(path), ReplicaStateJson.Default.ReplicaState)
                ?? throw new JsonException("null");
            return Checked(path, state);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new VolumeFaultException(VolumeFaultKind.Damaged, $"{path} is no replica state: {e.Message}", e);
        }
    }

    public static void Write(string path, ReplicaState state) =>
        Colo.Linux.AtomicFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(state, ReplicaStateJson.Default.ReplicaState));

    private static ReplicaState Checked(string path, ReplicaState state)
    {
        string? fault =
            state.Version > ReplicaState.CurrentVersion ? $"version {state.Version} is newer than this agent ({ReplicaState.CurrentVersion})"
            : state.Version < 1 ? $"version {state.Version} does not exist"
            : state.Spec is not { Uid: not null, Name: not null, Namespace: not null, Pool: not null, Buffer: not null, ArbiterDirectory: not null }
                ? "spec is incomplete"
            : state.Spec.SizeBytes < 4096 || state.Spec.SizeBytes % 4096 != 0 ? $"size {state.Spec.SizeBytes}"
            : state.Spec.Term < 1 || state.HighestTerm < state.Spec.Term ? $"terms {state.Spec.Term} and {state.HighestTerm}"
            : Path.GetFileName(Path.GetDirectoryName(path)) != state.Spec.Uid ? $"is the state of volume {state.Spec.Uid}"
            : null;
        return fault is null ? state : throw new VolumeFaultException(VolumeFaultKind.Damaged, $"{path}: {fault}");
    }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    WriteIndented = true)]
[JsonSerializable(typeof(ReplicaState))]
internal sealed partial class ReplicaStateJson : JsonSerializerContext;
