using Colo.Api;
using Colo.Control;
using Colo.Kubernetes;
using Colo.Operator.Events;

namespace Colo.Operator.Quiesce;

/// <summary>Freezes a guest for the checkpoints of a round, where its spec asks for it. A checkpoint is made all the same where that fails:
/// it is then as after a power cut, and an Event says so.</summary>
internal sealed class QuiescedCheckpoint(IGuestQuiesce guests, VolumeNotices notices)
{
    /// <summary>Disposed when the round is over, however it ended.</summary>
    public Window Open(Resource<ReplicatedVolume> volume) => new(this, volume);

    public sealed class Window(QuiescedCheckpoint owner, Resource<ReplicatedVolume> volume) : IAsyncDisposable
    {
        private IAsyncDisposable? frozen;

        public async Task FreezeForAsync(VolumePlan plan, CancellationToken token)
        {
            if (volume.Value.Spec.Checkpoint.Quiesce != QuiesceMode.GuestAgent || !plan.Actions.Any(a => a is VolumeAction.Checkpoint))
            {
                return;
            }

            try
            {
                frozen = await owner.Freeze(volume.Value, token);
            }
            catch (QuiesceException e)
            {
                owner.Tell(volume, e.Message);
            }
        }

        public ValueTask DisposeAsync() => frozen?.DisposeAsync() ?? ValueTask.CompletedTask;
    }

    private Task<IAsyncDisposable> Freeze(ReplicatedVolume volume, CancellationToken token) => guests.FreezeAsync(volume, token);

    private void Tell(Resource<ReplicatedVolume> volume, string why) => notices.Tell(
        volume, new(NoticeReason.QuiesceFailed, $"the checkpoint is made without quiescing the guest: {why}", IsWarning: true));
}
