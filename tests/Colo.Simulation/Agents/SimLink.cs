using Colo.Agent.Volumes;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Replication;
using Colo.Simulation.World;

namespace Colo.Simulation.Agents;

/// <summary>As the agent's NbdReplicationLink: the real NBD client, over a simulated connection.</summary>
internal sealed class SimLink : ForwardingBlockDevice, IReplicationLink
{
    private readonly NbdClientDevice device;
    private readonly TaskCompletionSource<string> lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private SimLink(NbdClientDevice device, string peerNode)
        : base(device)
    {
        (this.device, PeerNode) = (device, peerNode);
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
        NbdClientDevice device = await NbdClient.ConnectAsync(
            new NbdClientOptions
            {
                Endpoint = NbdEndpoint.Tcp(peer.Node, exportName: ReplicationExports.NameOf(uid, term)),
                Dial = endpoint => parts.Network.Dial(parts.Process, parts.Node, endpoint.Host!, SimAgent.ReplicationPort),
                MaxInFlight = 320,
                ReceiveBufferBytes = 64 << 10,
                RequestCheckpoint = parts.Profile.CarriesCheckpoints,
                TimeProvider = parts.Process.Time,
                Threads = parts.Process.Threads,
            },
            token);
        return new(device, peer.Node);
    }

    public ValueTask<BlockStatus> CheckpointAsync(long epoch) => device.CheckpointAsync(epoch);

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

    public ValueTask<BlockStatus> CheckpointAsync(long epoch) => checkpoint();
}
