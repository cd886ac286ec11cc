namespace Colo.AgentApi;

/// <summary>Bounds of <see cref="VolumeRecordObject"/>. Short ones: whoever asks holds a guest's writes meanwhile and will ask again.</summary>
public sealed record VolumeRecordObjectOptions
{
    /// <summary>For one request to the API server, from dialling to the last byte; a call makes two, and two more for each attempt.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How often a change is tried anew because others changed the object, but not the record, in between.</summary>
    public int MaxAttempts { get; init; } = 8;
}
