namespace Colo.Blocks;

/// <summary>A <see cref="BufferPool"/> has reached its limit, or was asked for more than it may ever hold.</summary>
public sealed class BufferPoolExhaustedException(string message) : Exception(message);
