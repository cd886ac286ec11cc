using System.Text.Json;
using k8s.Models;

namespace Colo.Kubernetes;

/// <summary>One page of a list, parsed item by item from the bytes of the answer.</summary>
internal sealed class ListPage<T>
{
    private readonly ResourceType<T> type;

    private ListPage(ResourceType<T> type) => this.type = type;

    public List<Resource<T>> Items { get; } = [];

    public List<UnreadableObject> Unreadable { get; } = [];

    public string ResourceVersion { get; private set; } = string.Empty;

    /// <summary>Null on the last page.</summary>
    public string? Continue { get; private set; }

    public static ListPage<T> Parse(ReadOnlySpan<byte> json, ResourceType<T> type)
    {
        ListPage<T> page = new(type);
        try
        {
            page.ReadList(json);
        }
        catch (JsonException e)
        {
            throw new ApiException(ApiErrorKind.Malformed, $"the list of {type.Plural} is not what the API promises: {e.Message}", inner: e);
        }

        if (page.ResourceVersion.Length == 0)
        {
            throw new ApiException(ApiErrorKind.Malformed, $"the list of {type.Plural} has no resourceVersion");
        }

        return page;
    }

    private void ReadList(ReadOnlySpan<byte> json)
    {
        Utf8JsonReader reader = new(json);
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("not a JSON object");
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("metadata"u8))
            {
                reader.Read();
                V1ListMeta? metadata = JsonSerializer.Deserialize<V1ListMeta>(ref reader, ObjectJson.Options);
                ResourceVersion = metadata?.ResourceVersion ?? string.Empty;
                Continue = string.IsNullOrEmpty(metadata?.ContinueProperty) ? null : metadata.ContinueProperty;
            }
            else if (reader.ValueTextEquals("items"u8))
            {
                reader.Read();
                ReadItems(ref reader, json);
            }
            else
            {
                reader.Read();
                reader.Skip();
            }
        }
    }

    private void ReadItems(ref Utf8JsonReader reader, ReadOnlySpan<byte> json)
    {
        if (reader.TokenType == JsonTokenType.Null)
        {
            return;
        }

        while (reader.Read() && reader.TokenType == JsonTokenType.StartObject)
        {
            int start = (int)reader.TokenStartIndex;
            reader.Skip();
            ReadOnlySpan<byte> item = json[start..(int)reader.BytesConsumed];
            if (ObjectJson.TryRead(item, type, out Resource<T>? resource, out UnreadableObject unreadable))
            {
                Items.Add(resource);
            }
            else
            {
                Unreadable.Add(unreadable);
            }
        }
    }
}
