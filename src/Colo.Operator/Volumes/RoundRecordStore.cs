using Colo.AgentApi;

namespace Colo.Operator.Volumes;

/// <summary>
/// The record of one volume as a round reads it: the first read is answered from the copy that the informer keeps, each later one by the
/// API server. A round that finds nothing to do then asks nobody; one that is about to act has looked at the truth. Changes always go to
/// the truth, by compare-and-swap.
/// </summary>
internal sealed class RoundRecordStore(IVolumeRecordStore truth) : IVolumeRecordStore
{
    private bool mayAnswerFromCopy;
    private VolumeRecord? copy;

    public string Location => truth.Location;

    public void Begin(VolumeRecord? seen)
    {
        copy = seen;
        mayAnswerFromCopy = true;
    }

    public Task<VolumeRecord?> ReadAsync(CancellationToken token)
    {
        if (mayAnswerFromCopy)
        {
            mayAnswerFromCopy = false;
            return Task.FromResult(copy);
        }

        return truth.ReadAsync(token);
    }

    public Task<RecordChange> TryCreateAsync(VolumeRecord first, CancellationToken token) => truth.TryCreateAsync(first, token);

    public Task<RecordChange> TryReplaceAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token) =>
        truth.TryReplaceAsync(expected, next, token);

    /// <summary>The record goes with its object: until the last finalizer is off, whoever deletes a replica must know its term.</summary>
    public Task DeleteAsync(CancellationToken token) => Task.CompletedTask;
}
