using Colo.Blocks;
using Colo.Nbd;
using Colo.Nbd.Client;
using Colo.Nbd.Wire;
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
    private readonly Func<CancellationToken, Task<NbdClientDevice>>? toLineage;
    private readonly TaskCompletionSource<string> lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string? checkpointFailure;
    private LineageReport? lineage;

    private NbdReplicationLink(
        NbdClientDevice device, string peerNode, QmpSecondary? qmp, Func<CancellationToken, Task<NbdClientDevice>>? toLineage)
        : base(device)
    {
        (this.device, PeerNode, this.qmp, this.toLineage) = (device, peerNode, qmp, toLineage);
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
        bool isAgent = peer.ExportName.Length == 0 && peer.QmpAddress.Length == 0;
        string export = peer.ExportName.Length > 0 ? peer.ExportName : ReplicationExports.NameOf(uid, term);
        NbdClientDevice device = await ConnectAsync(parts, peer, export, token);
        return new(
            device,
            peer.Node,
            peer.QmpAddress.Length > 0
                ? new(peer.QmpAddress, TimeSpan.FromMilliseconds(parts.Options.Limits.PeerTimeoutMilliseconds))
                : null,
            isAgent ? limit => ConnectAsync(parts, peer, LineageExport.NameOf(export), limit) : null);
    }

    private static Task<NbdClientDevice> ConnectAsync(VolumeParts parts, PeerSpec peer, string export, CancellationToken token)
    {
        bool tls = parts.Certificates.IsEnabled;
        return NbdClient.ConnectAsync(
            new NbdClientOptions
            {
                Endpoint = Endpoint(peer, export, tls),
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
    }

    /// <summary>What QEMU's 16 connections of a guest can have in flight together, and a copy beside it.</summary>
    private const int MaxInFlight = 320;

    public ValueTask<BlockStatus> CheckpointAsync(long epoch) =>
        qmp is null ? device.CheckpointAsync(epoch) : CheckpointByQmpAsync();

    public async ValueTask<LineageReport?> ReadLineageAsync(CancellationToken token)
    {
        if (toLineage is null || lineage is not null)
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
            // An agent of a former version.
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
            await using NbdClientDevice told = await toLineage!(token);
            await LineageExport.AnnounceAsync(told, announcement);
        }
        catch (NbdClientException e)
        {
            throw new ReplicationException(ReplicationFault.Failed, $"{PeerNode} cannot be told what it is to be: {e.Message}", inner: e);
        }
    }

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
