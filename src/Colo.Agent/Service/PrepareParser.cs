using Colo.Agent.Cluster;
using Colo.Agent.Options;
using Colo.Agent.Volumes;
using Colo.AgentApi;

namespace Colo.Agent.Service;

/// <summary>Turns requests into values that the volumes trust; every refusal names the field and what it allows.</summary>
public sealed class PrepareParser(AgentOptions options, ClusterAccess cluster)
{
    private const int BlockBytes = 4096;
    private const int MaxNameLength = 253;

    /// <summary>host:port with the longest name of a host, or the path of a unix socket: far above either.</summary>
    private const int MaxAddressLength = 512;

    /// <summary>PATH_MAX.</summary>
    private const int MaxPathLength = 4096;

    /// <summary>Largest size a qcow2 buffer and a bitmap of 4 KiB grains are meant for.</summary>
    private const long MaxSizeBytes = 64L << 40;
    private const long MinBufferBytes = 1L << 20;
    private const long DefaultBufferBytes = 2L << 30;

    public ReplicaSpec Parse(PrepareRequest request)
    {
        VolumeRef volume = ParseRef(request.Volume);
        Name(request.Name, "name");
        Name(request.Namespace, "namespace");
        Require(request.Role is Role.Primary or Role.Secondary, "role", "PRIMARY or SECONDARY", request.Role);
        Require(
            request.SizeBytes is >= BlockBytes and <= MaxSizeBytes && request.SizeBytes % BlockBytes == 0,
            "size_bytes",
            $"a multiple of {BlockBytes} from {BlockBytes} to {MaxSizeBytes}",
            request.SizeBytes);
        string pool = request.Pool.Length > 0 ? request.Pool : "default";
        Require(options.Pools.ContainsKey(pool), "pool", string.Join(", ", options.Pools.Keys.Order(StringComparer.Ordinal)), pool);
        bool kubernetes = request.Arbiter?.Kubernetes ?? false;
        Require(!kubernetes || cluster.IsEnabled, "arbiter.kubernetes", "false: this agent was started without --kubernetes", true);
        string arbiter = kubernetes ? "" : request.Arbiter?.Directory is { Length: > 0 } given ? given : options.ArbiterDirectory;
        Require(
            kubernetes || (Path.IsPathFullyQualified(arbiter) && arbiter.Length <= MaxPathLength),
            "arbiter.directory",
            "an absolute path (the agent has no default)",
            arbiter);
        long rate = request.Resync?.MaxBytesPerSecond ?? 0;
        Require(rate >= 0, "resync.max_bytes_per_second", "0 (no limit) or more", rate);
        if (request.PlainExportName.Length > 0)
        {
            Name(request.PlainExportName, "plain_export_name");
        }

        Require(!request.GuestTcp || options.GuestListen.Length > 0, "guest_tcp", "false: this agent has no guest listener", true);
        return new(
            volume.Uid,
            volume.Term,
            request.Role,
            request.Name,
            request.Namespace,
            request.SizeBytes,
            pool,
            Parse(request.Buffer),
            Or(request.RecoveryPoint, RecoveryPoint.LatestWrite, "recovery_point"),
            ParsePeer(request.Peer),
            arbiter,
            rate,
            request.PlainExportName,
            request.GuestTcp,
            kubernetes);
    }

    public static VolumeRef ParseRef(VolumeRef? volume)
    {
        Require(volume is not null, "volume", "uid and term", "nothing");
        ParseUid(volume!.Uid);
        Require(volume.Term >= 1, "volume.term", "1 or more", volume.Term);
        return volume;
    }

    public static string ParseUid(string uid)
    {
        try
        {
            VolumeRecordFile.ValidateUid(uid);
            return uid;
        }
        catch (ArgumentException e)
        {
            throw new VolumeFaultException(VolumeFaultKind.InvalidArgument, $"volume.uid: {e.Message}", e);
        }
    }

    public static PeerSpec? ParsePeer(Peer? peer)
    {
        if (peer is null)
        {
            return null;
        }

        Require(peer.Node.Length <= MaxNameLength, "peer.node", $"at most {MaxNameLength} characters", peer.Node.Length);
        Require(IsAddress(peer.ReplicationAddress), "peer.replication_address", "host:port or unix:/path", peer.ReplicationAddress);
        Require(peer.ExportName.Length <= MaxNameLength, "peer.export_name", $"at most {MaxNameLength} characters", peer.ExportName.Length);
        Require(peer.QmpAddress.Length == 0 || IsAddress(peer.QmpAddress), "peer.qmp_address", "host:port or unix:/path", peer.QmpAddress);
        return new(peer.Node, peer.ReplicationAddress, peer.ExportName, peer.QmpAddress);
    }

    public static T Or<T>(T given, T unspecified, string field)
        where T : struct, Enum
    {
        Require(Enum.IsDefined(given), field, string.Join(", ", Enum.GetNames<T>().Skip(1)), given);
        return EqualityComparer<T>.Default.Equals(given, default) ? unspecified : given;
    }

    private static BufferSpec Parse(Colo.AgentApi.Buffer? buffer)
    {
        buffer ??= new();
        long limit = buffer.LimitBytes == 0 ? DefaultBufferBytes : buffer.LimitBytes;
        Require(limit >= MinBufferBytes, "buffer.limit_bytes", $"0 (2 GiB), or at least {MinBufferBytes}", limit);
        return new(
            Or(buffer.Medium, BufferMedium.Memory, "buffer.medium"),
            limit,
            Or(buffer.OnFull, BufferFullPolicy.Checkpoint, "buffer.on_full"));
    }

    private static void Name(string name, string field) =>
        Require(
            name.Length is > 0 and <= MaxNameLength
                && !name.AsSpan().ContainsAnyExcept("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"),
            field,
            $"1-{MaxNameLength} of [a-zA-Z0-9._-]",
            $"'{name}'");

    private static bool IsAddress(string text)
    {
        if (text.Length > MaxAddressLength)
        {
            return false;
        }

        if (text.StartsWith("unix:", StringComparison.Ordinal))
        {
            return Path.IsPathFullyQualified(text["unix:".Length..]);
        }

        int colon = text.LastIndexOf(':');
        return colon > 0 && ushort.TryParse(text.AsSpan(colon + 1), out ushort port) && port > 0;
    }

    private static void Require(bool condition, string field, string allowed, object given)
    {
        if (!condition)
        {
            throw new VolumeFaultException(VolumeFaultKind.InvalidArgument, $"{field}: allowed is {allowed}; given: {given}");
        }
    }
}
