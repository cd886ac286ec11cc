using System.Text.Json;
using System.Text.Json.Serialization;
using Colo.AgentApi;
using Colo.Linux;

namespace Colo.Agent.Volumes;

/// <summary>What a replica must remember over the death of its agent; kept beside its disk, written atomically at each change.</summary>
public sealed record StoredReplica
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

    /// <summary>The disk file was made: without it, a missing disk is one that is not made yet; with it, one that was lost.</summary>
    public bool DiskCreated { get; init; }

    /// <summary>Secondary: the epoch pair that is in use.</summary>
    public long Epoch { get; init; } = 1;

    /// <summary>Names an unbroken life of this copy: new where writes that were answered may have been lost (the machine went down).</summary>
    public string Generation { get; init; } = "";

    /// <summary>Primary: the generation of the secondary that was last in sync with it; with another one, only a full copy will do.</summary>
    public string PeerGeneration { get; init; } = "";

    /// <summary>How often the lineage had been written when it was opened last; null where an agent had the replica that keeps none.</summary>
    public long? LineageWrites { get; init; }

    /// <summary>Checkpoints completed under this term.</summary>
    public long CheckpointSequence { get; init; }

    /// <summary>Closed after draining and flushing. False from opening to closing: what was in flight then is on one side only.</summary>
    public bool Clean { get; init; }

    /// <summary>The kernel's boot id when it was opened: the page cache and tmpfs of another boot are gone.</summary>
    public string BootId { get; init; } = "";

    /// <summary>Which file the disk is (<see cref="FileIdentity"/>); empty in states of before it was noted.</summary>
    public string DiskIdentity { get; init; } = "";

    /// <summary>While <see cref="Clean"/>: when the disk was last changed, in microseconds; 0 where that was not noted.</summary>
    public long DiskChanged { get; init; }
}

/// <summary>Reads and writes the state of one replica; owned by whoever opens and closes it.</summary>
/// <param name="path">Of the state.</param>
/// <param name="witnesses">Files that note the state's sequence elsewhere; none where it is null.</param>
public sealed class StoredReplicaFile(string path, IReadOnlyList<string>? witnesses = null)
{
    private readonly AtomicFile file = new(path, "replica");
    private readonly List<SequenceWitness> seen = [.. (witnesses ?? []).Select(w => new SequenceWitness(w))];

    /// <exception cref="VolumeFaultException">Damaged: not readable as a state of this version or an older one.</exception>
    /// <returns>null where there is none.</returns>
    public StoredReplica? Read()
    {
        try
        {
            // Gone altogether is no roll back: whoever expects a replica here says so in Prepare, and a new one starts with nothing.
            if (!file.Exists || file.Read(seen.Select(s => s.Read()).DefaultIfEmpty(0).Max()) is not { } content)
            {
                return null;
            }

            return Checked(file.Path, JsonSerializer.Deserialize(content.Bytes.Span, StoredReplicaJson.Default.StoredReplica)
                ?? throw new JsonException("null"));
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw new VolumeFaultException(VolumeFaultKind.Damaged, $"{file.Path} is no replica state: {e.Message}", e);
        }
        catch (StateFileException e) when (e.Error != StateFileError.Io)
        {
            throw new VolumeFaultException(VolumeFaultKind.Damaged, e.Message, e);
        }
    }

    /// <summary>The first state of a new replica.</summary>
    public void Begin(StoredReplica state)
    {
        seen.ForEach(s => s.Forget());
        Write(state);
    }

    /// <summary>Durable when it returns.</summary>
    public void Write(StoredReplica state)
    {
        long sequence = file.Write(JsonSerializer.SerializeToUtf8Bytes(state, StoredReplicaJson.Default.StoredReplica));
        seen.ForEach(s => s.Note(sequence));
    }

    /// <summary>What the types say and JSON does not: null is nowhere, an enum holds a word that exists.</summary>
    private static bool IsComplete(StoredReplica state) =>
        state is { Generation: not null, PeerGeneration: not null, BootId: not null, DiskIdentity: not null, Epoch: >= 0 }
        && state.Spec is
        {
            Uid: not null, Name: not null, Namespace: not null, Pool: not null, ArbiterDirectory: not null, PlainExportName: not null,
            Buffer: { LimitBytes: > 0 } buffer,
            Peer: null or { Node: not null, ReplicationAddress: not null, ExportName: not null, QmpAddress: not null },
        }
        && state.Spec.Role is Role.Primary or Role.Secondary
        && Enum.IsDefined(state.Spec.RecoveryPoint) && Enum.IsDefined(buffer.Medium) && Enum.IsDefined(buffer.OnFull)
        && (state.Spec.ArbiterDirectory.Length == 0 || Path.IsPathFullyQualified(state.Spec.ArbiterDirectory));

    private static StoredReplica Checked(string path, StoredReplica state)
    {
        string? fault =
            state.Version > StoredReplica.CurrentVersion ? $"version {state.Version} is newer than this agent ({StoredReplica.CurrentVersion})"
            : state.Version < 1 ? $"version {state.Version} does not exist"
            : !IsComplete(state) ? "a part is missing, or is of a kind that this agent does not know"
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
[JsonSerializable(typeof(StoredReplica))]
internal sealed partial class StoredReplicaJson : JsonSerializerContext;
