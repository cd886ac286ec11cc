using Colo.AgentApi;

namespace Colo.Agent.Options;

/// <summary>
/// What the person who installs an agent decides. Bound once at start from, in rising precedence, a JSON file (--config), the environment
/// (COLO_AGENT_NODE_NAME) and the command line (--node-name); validated before anything listens. Immutable afterwards.
/// </summary>
public sealed class AgentOptions
{
    /// <summary>The node's name, as the arbiter's record spells it.</summary>
    public string NodeName { get; init; } = "";

    /// <summary>Storage pools: name to directory (--pool default=/var/lib/colo/default, repeatable).</summary>
    public Dictionary<string, string> Pools { get; init; } = new(StringComparer.Ordinal);

    /// <summary>Where guests find their disks: one unix socket a volume, under a path that stays over restarts.</summary>
    public string SocketDirectory { get; init; } = "/run/colo/sockets";

    /// <summary>A tmpfs for buffers of medium Memory.</summary>
    public string MemoryBufferDirectory { get; init; } = "/dev/shm/colo";

    /// <summary>Where gRPC listens: host:port or unix:/path, several separated by commas.</summary>
    public string GrpcListen { get; init; } = "127.0.0.1:9540";

    /// <summary>What the operator is told to connect to, where it is not <see cref="GrpcListen"/> itself.</summary>
    public string GrpcAdvertise { get; init; } = "";

    /// <summary>Where secondaries of this node accept their primaries: host:port.</summary>
    public string ReplicationListen { get; init; } = "127.0.0.1:9541";

    /// <summary>What a peer is told to connect to, where it is not <see cref="ReplicationListen"/> itself.</summary>
    public string ReplicationAdvertise { get; init; } = "";

    /// <summary>This node's address as others reach it, told in place of a wildcard that a listener is bound to (POD_IP).</summary>
    public string AdvertiseIp { get; init; } = "";

    /// <summary>host:port of guest disks over TCP; empty: unix sockets only.</summary>
    public string GuestListen { get; init; } = "";

    /// <summary>required: a guest over TCP shows a certificate for its volume. none: whoever reaches the port reads and writes the disks.
    /// auto: required where TLS is configured.</summary>
    public string GuestTls { get; init; } = "auto";

    /// <summary>Numeric group of the guests' unix sockets, for a QEMU that is not root; empty: the agent's own. The agent must be a member
    /// of it, or be allowed to give files away (CAP_CHOWN).</summary>
    public string GuestSocketGroup { get; init; } = "";

    /// <summary>Octal mode of the guests' unix sockets: who may write to one may read and write the disk.</summary>
    public string GuestSocketMode { get; init; } = "0660";

    /// <summary>host:port of /metrics, /healthz and /readyz (plain HTTP).</summary>
    public string MetricsListen { get; init; } = "127.0.0.1:9543";

    /// <summary>Directory of the embedded arbiter's record files, where Prepare names none.</summary>
    public string ArbiterDirectory { get; init; } = "";

    /// <summary>true, false, or auto: true inside a cluster's pod, and where a kubeconfig is given.</summary>
    public string Kubernetes { get; init; } = "auto";

    /// <summary>How the API server is reached; empty: by the pod's service account.</summary>
    public string Kubeconfig { get; init; } = "";

    /// <summary>Where this agent's Lease lies; empty: the pod's own namespace, or the kubeconfig's.</summary>
    public string KubernetesNamespace { get; init; } = "";

    public TlsOptions Tls { get; init; } = new();

    public LimitOptions Limits { get; init; } = new();

    /// <summary>text or json.</summary>
    public string LogFormat { get; init; } = "text";
}

/// <summary>Mutual TLS for gRPC over TCP and for the replication connections: a directory, or three files, or nothing.</summary>
public sealed class TlsOptions
{
    /// <summary>Holds tls.crt, tls.key and ca.crt, as a mounted secret of type kubernetes.io/tls does.</summary>
    public string Directory { get; init; } = "";

    /// <summary>PEM; may hold intermediates.</summary>
    public string CertificateFile { get; init; } = "";

    public string KeyFile { get; init; } = "";

    /// <summary>PEM: a peer's certificate must chain to one of these.</summary>
    public string CaFile { get; init; } = "";

    /// <summary>DNS names, separated by commas: a certificate must carry one of them to call the agent. *: any of the authority's.</summary>
    public string OperatorNames { get; init; } = CertificateNames.Operator;

    /// <summary>DNS names: a certificate must carry one of them to write to a secondary, or to be one. *: any of the authority's. With a
    /// node's name in front (node-a.colo-agent) it is for that node alone.</summary>
    public string AgentNames { get; init; } = CertificateNames.Agent;

    /// <summary>DNS names: a certificate must carry one of them to open a disk over TCP. With NAME.NAMESPACE of a volume in front it is for
    /// that volume alone.</summary>
    public string GuestNames { get; init; } = CertificateNames.Guest;

    /// <summary>Refuses agents whose certificate names no node: for installations where each node has a certificate of its own.</summary>
    public bool NodeNamesRequired { get; init; }

    /// <summary>Name of the signer of the cluster's certificate API that gives this node's agent its certificate; certificate and key file
    /// are then the agent's own to write. Empty: somebody else puts them there.</summary>
    public string Signer { get; init; } = "";

    public bool AsksForCertificate => Signer.Length > 0;

    public bool IsEnabled => Directory.Length > 0 || CertificateFile.Length > 0;

    public string CertificatePath => Or(CertificateFile, "tls.crt");

    public string KeyPath => Or(KeyFile, "tls.key");

    public string CaPath => Or(CaFile, "ca.crt");

    private string Or(string file, string inDirectory) =>
        file.Length > 0 || Directory.Length == 0 ? file : Path.Combine(Directory, inDirectory);
}

/// <summary>Bounds, each with a default that suits a node with tens of volumes.</summary>
public sealed class LimitOptions
{
    /// <summary>Replicas of this node.</summary>
    public int MaxVolumes { get; init; } = 256;

    /// <summary>Streams of Watch at the same time.</summary>
    public int MaxWatchers { get; init; } = 64;

    /// <summary>How long a shutdown may drain and flush.</summary>
    public int ShutdownSeconds { get; init; } = 20;

    /// <summary>Between two health probes of a pool.</summary>
    public int ProbeIntervalSeconds { get; init; } = 2;

    /// <summary>A pool whose small write and fdatasync take longer is not healthy.</summary>
    public int ProbeTimeoutSeconds { get; init; } = 5;

    /// <summary>Between two attempts of a primary to reach a secondary or an arbiter that does not answer.</summary>
    public int RetryMilliseconds { get; init; } = 500;

    /// <summary>A secondary that does not answer a forward for so long is lost.</summary>
    public int PeerTimeoutMilliseconds { get; init; } = 3000;

    /// <summary>An API server that does not answer one request for so long gives no answer.</summary>
    public int KubernetesTimeoutMilliseconds { get; init; } = 3000;
}
