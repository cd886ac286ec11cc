using System.Runtime.CompilerServices;
using Colo.Blocks;

namespace Colo.Nbd.Transmission;

/// <summary>
/// A request that the device did not answer at once: what is needed to answer it later, on whatever thread that happens. Pooled by
/// its session; its continuation is made once, so that waiting allocates nothing.
/// </summary>
internal sealed class PendingRequest
{
    private readonly TransmissionSession session;
    private readonly Action completed;
    private ConfiguredValueTaskAwaitable<BlockStatus>.ConfiguredValueTaskAwaiter awaiter;

    public PendingRequest(TransmissionSession session)
    {
        this.session = session;
        completed = Completed;
    }

    public RequestHeader Request { get; private set; }

    /// <summary>Holds the payload of a write; null for the others.</summary>
    public ReceiveBuffer? Payload { get; private set; }

    /// <summary>Room for the payload of a read; empty for the others.</summary>
    public ReplyReservation Reservation { get; private set; }

    /// <summary>What a block status request fills.</summary>
    public List<BlockExtent>? Extents { get; private set; }

    public long StartTimestamp { get; private set; }

    public int HeldBytes { get; private set; }

    /// <summary>From here on the request belongs to whoever completes it, perhaps before this returns.</summary>
    public void Wait(
        in RequestHeader request,
        ReceiveBuffer? payload,
        ReplyReservation reservation,
        List<BlockExtent>? extents,
        int heldBytes,
        long startTimestamp,
        ValueTask<BlockStatus> call)
    {
        Request = request;
        Payload = payload;
        Reservation = reservation;
        Extents = extents;
        HeldBytes = heldBytes;
        StartTimestamp = startTimestamp;
        awaiter = call.ConfigureAwait(false).GetAwaiter();
        awaiter.UnsafeOnCompleted(completed);
    }

    public void Clear()
    {
        Payload = null;
        Reservation = default;
        Extents = null;
        awaiter = default;
    }

    private void Completed()
    {
        BlockStatus status;
        try
        {
            status = awaiter.GetResult();
        }
        catch (Exception e)
        {
            status = session.DeviceThrew(Request, e);
        }

        session.Complete(this, status);
    }
}
