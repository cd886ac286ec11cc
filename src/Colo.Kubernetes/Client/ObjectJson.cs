using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using k8s;
using k8s.Models;

namespace Colo.Kubernetes;

/// <summary>Objects out of UTF-8 bytes, without a string in between.</summary>
internal static class ObjectJson
{
    /// <summary>The client library's own options: its converters of times and quantities are not public otherwise.</summary>
    public static readonly JsonSerializerOptions Options = OptionsOfTheClient();

    public static Resource<T> Read<T>(ReadOnlySpan<byte> json, ResourceType<T> type)
    {
        T value = JsonSerializer.Deserialize<T>(json, type.JsonOptions) ?? throw new JsonException("the object is null");
        V1ObjectMeta metadata = value is IMetadata<V1ObjectMeta> { Metadata: { } own } ? own : ReadMetadata(json);
        if (string.IsNullOrEmpty(metadata.Name))
        {
            throw new JsonException("the object has no metadata.name");
        }

        metadata.ManagedFields = null;
        return new Resource<T>(metadata, value);
    }

    /// <summary>False for an object that is no <typeparamref name="T"/>; one without metadata throws: that is no object at all.</summary>
    public static bool TryRead<T>(
        ReadOnlySpan<byte> json, ResourceType<T> type, [NotNullWhen(true)] out Resource<T>? resource, out UnreadableObject unreadable)
    {
        unreadable = default;
        try
        {
            resource = Read(json, type);
            return true;
        }
        catch (Exception e) when (e is not (OutOfMemoryException or ApiException))
        {
            // Converters and constructors of T refuse in their own ways; one bad object must not hide the others.
            V1ObjectMeta metadata = ReadMetadata(json);
            metadata.ManagedFields = null;
            resource = null;
            unreadable = new UnreadableObject(metadata, e.Message);
            return false;
        }
    }

    public static V1ObjectMeta ReadMetadata(ReadOnlySpan<byte> json)
    {
        Utf8JsonReader reader = new(json);
        if (!TryFindProperty(ref reader, "metadata"u8))
        {
            throw new JsonException("the object has no metadata");
        }

        return JsonSerializer.Deserialize<V1ObjectMeta>(ref reader, Options) ?? throw new JsonException("metadata is null");
    }

    /// <summary>Leaves the reader on the value of that property of the outermost object.</summary>
    public static bool TryFindProperty(ref Utf8JsonReader reader, ReadOnlySpan<byte> name)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("not a JSON object");
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool found = reader.ValueTextEquals(name);
            reader.Read();
            if (found)
            {
                return true;
            }

            reader.Skip();
        }

        return false;
    }

    private static JsonSerializerOptions OptionsOfTheClient()
    {
        JsonSerializerOptions? options = null;
        KubernetesJson.AddJsonOptions(o => options = o);
        return options ?? throw new InvalidOperationException("the Kubernetes client has no JSON options");
    }
}
