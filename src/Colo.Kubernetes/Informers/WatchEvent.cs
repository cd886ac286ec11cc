using System.Text.Json;

namespace Colo.Kubernetes;

internal enum WatchEventKind
{
    Applied,
    Deleted,
    Bookmark,
    Unreadable,
}

/// <summary>One line of a watch. An ERROR line is no event: parsing it throws what the server said, 410 among others.</summary>
internal readonly record struct WatchEvent<T>(
    WatchEventKind Kind, string ResourceVersion, Resource<T>? Resource = null, UnreadableObject Unreadable = default)
{
    public static WatchEvent<T> Parse(ReadOnlySpan<byte> line, ResourceType<T> type)
    {
        try
        {
            Utf8JsonReader reader = new(line);
            ReadOnlySpan<byte> kind = default;
            ReadOnlySpan<byte> body = default;
            reader.Read();
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool isType = reader.ValueTextEquals("type"u8);
                bool isObject = reader.ValueTextEquals("object"u8);
                reader.Read();
                int start = (int)reader.TokenStartIndex;
                kind = isType ? reader.ValueSpan : kind;
                reader.Skip();
                body = isObject ? line[start..(int)reader.BytesConsumed] : body;
            }

            return Parse(kind, body, type);
        }
        catch (JsonException e)
        {
            throw new ApiException(ApiErrorKind.Malformed, $"a watch of {type.Plural} sent what is no event: {e.Message}", inner: e);
        }
    }

    private static WatchEvent<T> Parse(ReadOnlySpan<byte> kind, ReadOnlySpan<byte> body, ResourceType<T> type)
    {
        if (kind.SequenceEqual("ERROR"u8))
        {
            ApiStatus status = ApiStatus.Parse(body);
            int code = status.Code ?? 500;
            throw new ApiException(ApiException.KindOf(code, status.Reason), $"watch of {type.Plural}: {status.Message}", code, status.Reason);
        }

        if (kind.SequenceEqual("BOOKMARK"u8))
        {
            return new WatchEvent<T>(WatchEventKind.Bookmark, ObjectJson.ReadMetadata(body).ResourceVersion);
        }

        bool deleted = kind.SequenceEqual("DELETED"u8);
        if (!deleted && !kind.SequenceEqual("ADDED"u8) && !kind.SequenceEqual("MODIFIED"u8))
        {
            throw new JsonException("unknown event type");
        }

        return ObjectJson.TryRead(body, type, out Resource<T>? resource, out UnreadableObject unreadable)
            ? new WatchEvent<T>(deleted ? WatchEventKind.Deleted : WatchEventKind.Applied, resource.ResourceVersion, resource)
            : new WatchEvent<T>(
                deleted ? WatchEventKind.Deleted : WatchEventKind.Unreadable, unreadable.Metadata.ResourceVersion, null, unreadable);
    }
}
