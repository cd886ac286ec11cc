using Colo.Nbd.Server;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's GuestExport: the real NBD server on a simulated unix socket.</summary>
internal sealed class SimGuestExport
{
    public const string Port = "guest";

    private readonly AgentParts parts;
    private readonly NbdExport export;
    private readonly NbdServer server;

    public SimGuestExport(AgentParts parts, NbdExport export)
    {
        (this.parts, this.export) = (parts, export);
        NbdExportTable table = new();
        table.Add(export);
        server = new NbdServer(SimAgent.ServerOptions(parts), table, time: parts.Process.Time);
        parts.Network.Listen(parts.Process, parts.Node, Port, stream => _ = server.Serve(stream, new NbdPeer("unix")));
    }

    public async Task<bool> CloseAsync(TimeSpan drain)
    {
        long start = parts.Process.Time.GetTimestamp();
        parts.Network.Close(parts.Process, parts.Node, Port);
        await server.StopAsync(drain);
        bool inTime = parts.Process.Time.GetElapsedTime(start) < drain;
        await export.CloseAsync();
        await server.DisposeAsync();
        return inTime;
    }
}
