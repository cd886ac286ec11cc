using Colo.Api;

namespace Colo.Operator.Quiesce;

/// <summary>Makes a guest's filesystems consistent around a checkpoint.</summary>
public interface IGuestQuiesce
{
    /// <summary>Freezes the guest of this volume; thaws it when disposed, whatever happened in between.</summary>
    /// <exception cref="QuiesceException">it is not frozen; the message says why.</exception>
    Task<IAsyncDisposable> FreezeAsync(ReplicatedVolume volume, CancellationToken token);
}

public sealed class QuiesceException(string message, Exception? cause = null) : Exception(message, cause);
