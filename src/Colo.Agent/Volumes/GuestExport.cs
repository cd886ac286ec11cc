using Colo.Blocks;
using Colo.Nbd.Server;

namespace Colo.Agent.Volumes;

/// <summary>One disk of this node as its guest reaches it: a unix socket of its own and, where wanted, the shared TCP listener.</summary>
public sealed class GuestExport
{
    private readonly NbdListeners listeners;
    private readonly NbdServer server;
    private readonly bool isOnTcp;

    private GuestExport(NbdListeners listeners, NbdExport export, NbdServer server, bool isOnTcp) =>
        (this.listeners, Export, this.server, this.isOnTcp) = (listeners, export, server, isOnTcp);

    public NbdExport Export { get; }

    /// <param name="listeners">Of the node.</param>
    /// <param name="socketPath">Of the unix socket.</param>
    /// <param name="export">Not owned.</param>
    /// <param name="onTcp">NAME.NAMESPACE, whose guests may open it over TCP; null: nobody.</param>
    public static async Task<GuestExport> OpenAsync(NbdListeners listeners, string socketPath, NbdExport export, string? onTcp)
    {
        NbdServer server = await listeners.ServeUnixAsync(socketPath, export, CancellationToken.None);
        if (onTcp is not null)
        {
            listeners.Guests.Add(export, onTcp);
        }

        return new(listeners, export, server, onTcp is not null);
    }

    /// <summary>Lets what was received be answered, flushes the device, closes. False where it was cut instead.</summary>
    public async Task<bool> CloseAsync(TimeSpan drain)
    {
        long start = TimeProvider.System.GetTimestamp();
        if (isOnTcp)
        {
            listeners.Guests.Remove(Export);
        }

        await server.StopAsync(drain);
        bool inTime = TimeProvider.System.GetElapsedTime(start) < drain;
        await Export.CloseAsync();
        await server.DisposeAsync();
        return inTime;
    }

    public AgentApi.IoCounters Counters() => new()
    {
        Read = Of(NbdOperation.Read),
        Write = Of(NbdOperation.Write),
        Zero = Of(NbdOperation.WriteZeroes),
        Discard = Of(NbdOperation.Trim),
        Flush = Of(NbdOperation.Flush),
    };

    private AgentApi.OpCounters Of(NbdOperation operation)
    {
        NbdOperationSnapshot snapshot = Export.Metrics.Snapshot(operation);
        return new() { Requests = snapshot.Requests, Bytes = snapshot.Bytes, Errors = snapshot.Errors };
    }
}
