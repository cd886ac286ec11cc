namespace Colo.Kubernetes;

/// <summary>What a refusal or a silence of the API server means to the caller.</summary>
public enum ApiErrorKind
{
    /// <summary>No answer: no connection, a broken one, or none in time. Whether a write took effect is not known.</summary>
    Unreachable,

    /// <summary>The server answers that it cannot now (5xx, 504): ask again.</summary>
    Unavailable,

    /// <summary>429: ask again, later.</summary>
    TooManyRequests,

    NotFound,

    /// <summary>409: another wrote since what we read.</summary>
    Conflict,

    /// <summary>409 with reason AlreadyExists.</summary>
    AlreadyExists,

    /// <summary>422: validation refused the object, or a JSON patch's test failed.</summary>
    Invalid,

    /// <summary>410: that resource version is compacted away; list again.</summary>
    Expired,

    Unauthorized,

    Forbidden,

    /// <summary>Another 4xx: asking again brings the same.</summary>
    Rejected,

    /// <summary>The answer is not what the API promises.</summary>
    Malformed,
}

/// <summary>The API server refused, or did not answer. Cancellation by the caller is never one of these.</summary>
public sealed class ApiException : IOException
{
    public ApiException(ApiErrorKind kind, string message, int? statusCode = null, string? reason = null, Exception? inner = null)
        : base(message, inner)
    {
        Kind = kind;
        StatusCode = statusCode;
        Reason = reason;
    }

    public ApiErrorKind Kind { get; }

    /// <summary>HTTP status, or the code of the ERROR event of a watch; null where nothing answered.</summary>
    public int? StatusCode { get; }

    /// <summary>The Status object's machine-readable reason, e.g. AlreadyExists.</summary>
    public string? Reason { get; }

    /// <summary>What the server asked to wait, where it did.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>The same request may succeed later without anyone changing anything.</summary>
    public bool IsTransient => Kind is ApiErrorKind.Unreachable or ApiErrorKind.Unavailable or ApiErrorKind.TooManyRequests;

    internal static ApiErrorKind KindOf(int status, string? reason) => status switch
    {
        401 => ApiErrorKind.Unauthorized,
        403 => ApiErrorKind.Forbidden,
        404 => ApiErrorKind.NotFound,
        408 => ApiErrorKind.Unavailable,
        409 => reason == "AlreadyExists" ? ApiErrorKind.AlreadyExists : ApiErrorKind.Conflict,
        410 => ApiErrorKind.Expired,
        422 => ApiErrorKind.Invalid,
        429 => ApiErrorKind.TooManyRequests,
        >= 500 => ApiErrorKind.Unavailable,
        _ => ApiErrorKind.Rejected,
    };
}
