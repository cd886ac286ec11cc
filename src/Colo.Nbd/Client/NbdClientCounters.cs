namespace Colo.Nbd.Client;

/// <summary>A snapshot for metrics; the totals only grow.</summary>
/// <param name="Requests">Requests handed over, pieces of a split one counted each.</param>
/// <param name="BytesRead">Payload of reads answered Ok.</param>
/// <param name="BytesWritten">Payload of writes handed over.</param>
/// <param name="Errors">Requests answered with anything but Ok.</param>
/// <param name="Sends">Calls into the socket that sent: below <paramref name="Requests"/> when bursts are batched.</param>
/// <param name="Reconnects">Connections made after the first.</param>
/// <param name="InFlight">Requests on the wire now.</param>
/// <param name="Waiting">Requests waiting for a place on the wire, or for a reconnect.</param>
/// <param name="OldestInFlight">Age of the oldest request on the wire; zero where there is none.</param>
public readonly record struct NbdClientCounters(
    long Requests,
    long BytesRead,
    long BytesWritten,
    long Errors,
    long Sends,
    long Reconnects,
    int InFlight,
    int Waiting,
    TimeSpan OldestInFlight);
