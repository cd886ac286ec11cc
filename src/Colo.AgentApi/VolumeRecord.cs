using System.Text.Json;
using System.Text.Json.Serialization;

namespace Colo.AgentApi;

/// <summary>
/// The truth about one volume: who may write it under which term, and whether its secondary may be promoted (design: "Terms and the
/// arbiter"). Refuses impossible states; changed only through an <see cref="IVolumeRecordStore"/>.
/// </summary>
public sealed record VolumeRecord
{
    [JsonConstructor]
    public VolumeRecord(string uid, long term, string primary, string secondary, SecondaryState secondaryState, long revision = 0)
    {
        VolumeRecordFile.ValidateUid(uid);
        ArgumentOutOfRangeException.ThrowIfLessThan(term, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(revision);
        ArgumentException.ThrowIfNullOrEmpty(primary);
        ArgumentNullException.ThrowIfNull(secondary);
        if (secondaryState is < SecondaryState.None or > SecondaryState.Stale)
        {
            throw new ArgumentOutOfRangeException(nameof(secondaryState), secondaryState, "allowed: None, Syncing, InSync, Stale");
        }

        if (secondary.Length == 0 && secondaryState != SecondaryState.None)
        {
            throw new ArgumentException("a state other than None needs the secondary's name", nameof(secondary));
        }

        if (string.Equals(primary, secondary, StringComparison.Ordinal))
        {
            throw new ArgumentException("primary and secondary are the same node", nameof(secondary));
        }

        Uid = uid;
        Term = term;
        Primary = primary;
        Secondary = secondary;
        SecondaryState = secondaryState;
        Revision = revision;
    }

    public string Uid { get; }

    /// <summary>Rises with each change of primary, never falls.</summary>
    public long Term { get; init; }

    /// <summary>Node name.</summary>
    public string Primary { get; init; }

    /// <summary>Node name; empty where there is none.</summary>
    public string Secondary { get; init; }

    public SecondaryState SecondaryState { get; init; }

    /// <summary>Counts the changes of this record; set by the store, compared by compare-and-swap.</summary>
    public long Revision { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    WriteIndented = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip)]
[JsonSerializable(typeof(VolumeRecord))]
internal sealed partial class VolumeRecordJson : JsonSerializerContext;
