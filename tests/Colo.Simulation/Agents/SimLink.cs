using Colo.Agent.Volumes;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
using Colo.Replication;
using Colo.Simulation.World;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's NbdReplicationLink: the real NBD client, over a simulated connection.</summary>
internal sealed class SimLink : ForwardingBlockDevice, IReplicationLink
{
    private readonly NbdClientDevice device;
    private readonly TaskCompletionSource<string> lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly Func<CancellationToken, Task<NbdClientDevice>> toLineage;
    private LineageReport? lineage;

    private SimLink(NbdClientDevice device, string peerNode, Func<CancellationToken, Task<NbdClientDevice>> toLineage)
        : base(device)
    {
        (this.device, PeerNode, this.toLineage) = (device, peerNode, toLineage);
        device.StateChanged += (_, change) => Watch(change.To);
        Watch(device.State);
    }

    public string PeerNode { get; }

    public string PeerGeneration =>
        device.Export.Description is { } text && text.StartsWith("generation ", StringComparison.Ordinal) ? text["generation ".Length..] : "";

    public bool CarriesCheckpoints => device.SupportsCheckpoint;

    public Task<string> Lost => lost.Task;

    public static async Task<SimLink> ConnectAsync(AgentParts parts, PeerSpec peer, string uid, long term, CancellationToken token)
    {
        string export = ReplicationExports.NameOf(uid, term);
        NbdClientDevice device = await ConnectAsync(parts, peer, export, token);
        return new(device, peer.Node, limit => ConnectAsync(parts, peer, LineageExport.NameOf(export), limit));
    }

    public async ValueTask<LineageReport?> ReadLineageAsync(CancellationToken token)
    {
        if (lineage is not null)
        {
            return lineage;
        }

        try
        {
            await using NbdClientDevice shown = await toLineage(token);
            return lineage = await LineageExport.ReadReportAsync(shown, LengthBytes);
        }
        catch (NbdClientException e) when (e.Refusal == NbdOptionReply.ErrorUnknown)
        {
            return null;
        }
        catch (NbdClientException e)
        {
            throw new ReplicationException(ReplicationFault.Failed, $"the lineage of {PeerNode} cannot be read: {e.Message}", inner: e);
        }
    }

    public async ValueTask AnnounceAsync(LineageAnnouncement announcement, CancellationToken token)
    {
        try
        {
            await using NbdClientDevice told = await toLineage(token);
            await LineageExport.AnnounceAsync(told, announcement);
        }
        catch (NbdClientException e)
        {
            throw new ReplicationException(ReplicationFault.Failed, $"{PeerNode} cannot be told what it is to be: {e.Message}", inner: e);
        }
    }

    public ValueTask<BlockStatus> CheckpointAsync(long epoch) => device.CheckpointAsync(epoch);

    private static Task<NbdClientDevice> ConnectAsync(AgentParts parts, PeerSpec peer, string export, CancellationToken token) => NbdClient.ConnectAsync(
        new NbdClientOptions
        {
            Endpoint = NbdEndpoint.Tcp(peer.Node, exportName: export),
            Dial = endpoint => parts.Network.Dial(parts.Process, parts.Node, endpoint.Host!, SimAgent.ReplicationPort),
            MaxInFlight = parts.Profile.LinkRequests,
            ReceiveBufferBytes = 64 << 10,
            RequestCheckpoint = parts.Profile.CarriesCheckpoints,
            TimeProvider = parts.Process.Time,
            Threads = parts.Process.Threads,
        },
        token);

    private void Watch(NbdClientState state)
    {
        if (state is NbdClientState.Failed or NbdClientState.Closed)
        {
            lost.TrySetResult(device.LastError?.Message ?? $"the connection is {state}");
        }
    }
}

/// <summary>For a peer that knows no checkpoint on the connection: drained before, and then asked for by a call, as of a QEMU.</summary>
internal sealed class SimCallLink(SimLink link, Func<ValueTask<BlockStatus>> checkpoint) : ForwardingBlockDevice(link), IReplicationLink
{
    public string PeerNode => link.PeerNode;

    public bool CarriesCheckpoints => false;

    public Task<string> Lost => link.Lost;

    public ValueTask<LineageReport?> ReadLineageAsync(CancellationToken token) => link.ReadLineageAsync(token);

    public ValueTask AnnounceAsync(LineageAnnouncement announcement, CancellationToken token) => link.AnnounceAsync(announcement, token);

    public ValueTask<BlockStatus> CheckpointAsync(long epoch) => checkpoint();
}
