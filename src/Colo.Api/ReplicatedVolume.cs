namespace Colo.Api;

/// <summary>
/// A disk of a virtual machine that is kept on two nodes, so that it survives the death of one: what a person asks for (spec) and what
/// is the case (status).
/// </summary>
public sealed record ReplicatedVolume
{
    public const string Group = "colo.dev";
    public const string Version = "v1alpha1";
    public const string KindName = "ReplicatedVolume";
    public const string GroupVersion = Group + "/" + Version;

    public string ApiVersion { get; init; } = GroupVersion;

    public string Kind { get; init; } = KindName;

    public required ObjectMetadata Metadata { get; init; }

    /// <summary>What a person asks for.</summary>
    public required ReplicatedVolumeSpec Spec { get; init; }

    /// <summary>What is the case; written by the control plane alone.</summary>
    public ReplicatedVolumeStatus? Status { get; init; }
}

/// <summary>The part of Kubernetes' ObjectMeta that a volume needs. Where there is no Kubernetes, what only the API server knows stays null.</summary>
public sealed record ObjectMetadata
{
    public required string Name { get; init; }

    public string Namespace { get; init; } = "default";

    /// <summary>Given by the control plane at creation, never by a person; every call to an agent names it.</summary>
    public string? Uid { get; init; }

    public long? Generation { get; init; }

    /// <summary>Changes with every write of the object; opaque, compared for equality only.</summary>
    public string? ResourceVersion { get; init; }

    public DateTimeOffset? CreationTimestamp { get; init; }

    /// <summary>Set once deletion was asked for; the object stays until <see cref="Finalizers"/> is empty.</summary>
    public DateTimeOffset? DeletionTimestamp { get; init; }

    public IReadOnlyList<string>? Finalizers { get; init; }

    public IReadOnlyDictionary<string, string>? Labels { get; init; }

    public IReadOnlyDictionary<string, string>? Annotations { get; init; }
}
