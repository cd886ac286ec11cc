using Colo.Blocks;
using Colo.Nbd;
using Colo.Nbd.Client;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// The way to the secondary: one NBD connection, never reconnected by itself, because only the record may say whether a secondary that
/// was away still has everything. Adds nothing to a request.
/// </summary>
public sealed class NbdReplicationLink : ForwardingBlockDevice, IReplicationLink
{
    private const string GenerationPrefix = "generation ";

    private readonly NbdClientDevice device;
    private readonly QmpSecondary? qmp;
    private readonly TaskCompletionSource<string> lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? checkpointFailure;

    private NbdReplicationLink(NbdClientDevice device, string peerNode, QmpSecondary? qmp)
        : base(device)
    {
        (this.device, PeerNode, this.qmp) = (device, peerNode, qmp);
        device.StateChanged += (_, change) => Watch(change.To);
        Watch(device.State);
    }

    public string PeerNode { get; }

    /// <summary>Of the secondary's copy, where it is one of ours; empty for others.</summary>
    public string PeerGeneration =>
        device.Export.Description is { } text && text.StartsWith(GenerationPrefix, StringComparison.Ordinal)
            ? text[GenerationPrefix.Length..]
            : "";

    public bool CarriesCheckpoints => device.SupportsCheckpoint;

    public Task<string> Lost => lost.Task;

    public string? CheckpointFailure => checkpointFailure;

    /// <summary>How long forwards took; see <see cref="LatencyBuckets"/>.</summary>
    public IReadOnlyList<long> Latencies => device.ChangeLatencies;

    public static string DescribeGeneration(string generation) => GenerationPrefix + generation;

    /// <exception cref="NbdClientException">no connection, or the secondary refused; the message carries its words.</exception>
    public static async Task<NbdReplicationLink> ConnectAsync(
        VolumeParts parts, PeerSpec peer, string uid, long term, CancellationToken token)
    {
        bool tls = parts.Certificates.IsEnabled;
        NbdClientDevice device = await NbdClient.ConnectAsync(
            new NbdClientOptions
            {
                Endpoint = Endpoint(peer, peer.ExportName.Length > 0 ? peer.ExportName : ReplicationExports.NameOf(uid, term), tls),
                Tls = tls
                    ? new()
                    {
                        TrustedAuthorities = parts.Certificates.Current.Authorities,
                        ClientCertificate = parts.Certificates.Current.Leaf,
                        Intermediates = parts.Certificates.Current.Intermediates,
                        ServerRefusal = server => parts.Peers.RefusalOfSecondary(server, peer.Node),
                    }
                    : null,
                MaxInFlight = MaxInFlight,
                RequestCheckpoint = true,
                TimeProvider = parts.Time,
                Logger = parts.Logs.CreateLogger<NbdClientDevice>(),
            },
            token);
        return new(
            device,
            peer.Node,
            peer.QmpAddress.Length > 0
                ? new(peer.QmpAddress, TimeSpan.FromMilliseconds(parts.Options.Limits.PeerTimeoutMilliseconds))
                : null);
    }

    /// <summary>What QEMU's 16 connections of a guest can have in flight together, and a copy beside it.</summary>
    private const int MaxInFlight = 320;

    public ValueTask<BlockStatus> CheckpointAsync(long epoch) =>
        qmp is null ? device.CheckpointAsync(epoch) : CheckpointByQmpAsync();

    private async ValueTask<BlockStatus> CheckpointByQmpAsync()
    {
        try
        {
            await qmp!.CheckpointAsync(CancellationToken.None);
            checkpointFailure = null;
            return BlockStatus.Ok;
        }
        catch (IOException e)
        {
            checkpointFailure = e.Message;
            return BlockStatus.IoError;
        }
    }

    private void Watch(NbdClientState state)
    {
        if (state is NbdClientState.Failed or NbdClientState.Closed)
        {
            lost.TrySetResult(device.LastError?.Message ?? $"the connection is {state}");
        }
    }

    private static NbdEndpoint Endpoint(PeerSpec peer, string export, bool tls)
    {
        const string unix = "unix:";
        if (peer.ReplicationAddress.StartsWith(unix, StringComparison.Ordinal))
        {
            return NbdEndpoint.Unix(peer.ReplicationAddress[unix.Length..], export, tls);
        }

        int colon = peer.ReplicationAddress.LastIndexOf(':');
        return NbdEndpoint.Tcp(
            peer.ReplicationAddress[..colon].Trim('[', ']'),
            int.Parse(peer.ReplicationAddress.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture),
            export,
            tls);
    }
}
