namespace Colo.Api.Yaml;

/// <summary>One thing that is wrong with a manifest, where, and what would be right.</summary>
/// <param name="Line">From 1.</param>
/// <param name="Column">From 1.</param>
/// <param name="Path">The field: <c>spec.buffer.medium</c>; empty for the document itself.</param>
public sealed record ManifestError(string File, long Line, long Column, string Path, string Message)
{
    public override string ToString() =>
        $"{File}:{Line}:{Column}: {(Path.Length == 0 ? "" : Path + ": ")}{Message}";
}

/// <summary>A manifest that cannot be used; <see cref="Errors"/> holds everything found, not only the first.</summary>
public sealed class ManifestException(IReadOnlyList<ManifestError> errors)
    : Exception(string.Join(Environment.NewLine, errors))
{
    public IReadOnlyList<ManifestError> Errors { get; } = errors;
}
