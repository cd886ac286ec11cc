using System.Net;
using Colo.AgentApi;

namespace Colo.Operator.Options;

/// <summary>
/// What the person who installs the operator decides. Read once at start from, in rising precedence, the environment
/// (COLO_OPERATOR_NAMESPACE) and the command line (--namespace); parsed and checked before anything runs. Immutable afterwards.
/// </summary>
public sealed record OperatorOptions
{
    /// <summary>The operator's own namespace: its leader Lease and the agents' Leases are there.</summary>
    public required string Namespace { get; init; }

    /// <summary>Whose volumes are driven; empty: those of all namespaces.</summary>
    public IReadOnlyList<string> WatchNamespaces { get; init; } = [];

    /// <summary>Null: the service account of the pod.</summary>
    public string? Kubeconfig { get; init; }

    /// <summary>/metrics, /healthz and /readyz (plain HTTP).</summary>
    public IPEndPoint MetricsListen { get; init; } = new(IPAddress.Any, 8080);

    /// <summary>False only where there is exactly one operator for certain.</summary>
    public bool LeaderElect { get; init; } = true;

    /// <summary>A leader that was not heard of for so long is replaced. Short: a node's death may take the operator along with a primary.</summary>
    public TimeSpan LeaderLease { get; init; } = TimeSpan.FromSeconds(6);

    /// <summary>How this process is called in the leader Lease; unique among all that live at the same time. NAME or NAME@NODE: with the name of its
    /// node a standby sees from that node's agent that both are gone.</summary>
    public required string Identity { get; init; }

    /// <summary>Volumes that are worked on at the same time; a call to an agent may take its time in each.</summary>
    public int Workers { get; init; } = 32;

    /// <summary>A deletion waits so long for a node that does not answer, then goes on without it.</summary>
    public TimeSpan DeletionGrace { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Guest disks over TCP as well; every agent must have a guest listener then.</summary>
    public bool GuestTcp { get; init; }

    /// <summary>The agents' authority and the operator's own certificate; null: plain gRPC.</summary>
    public TlsFiles? Tls { get; init; }

    /// <summary>The authority that signs the agents' certificates; null: they have theirs from elsewhere.</summary>
    public SigningFiles? Signing { get; init; }

    public LogFormat LogFormat { get; init; } = LogFormat.Text;
}

/// <summary>Certificate and key of an authority, in PEM, and whom it signs for.</summary>
public sealed record SigningFiles(string CertificateFile, string KeyFile)
{
    /// <summary>Of the agents, in the operator's own namespace.</summary>
    public string AgentServiceAccount { get; init; } = "colo-operator-agent";
}

/// <summary>Three PEM files, re-read when they change.</summary>
public sealed record TlsFiles(string CertificateFile, string KeyFile, string CaFile)
{
    /// <summary>DNS names of which an agent's certificate must carry one, alone or with its node's name in front; *: any.</summary>
    public IReadOnlyList<string> AgentNames { get; init; } = [CertificateNames.Agent];

    /// <summary>Refuses agents whose certificate names no node.</summary>
    public bool NodeNamesRequired { get; init; }
}

public enum LogFormat
{
    Text,
    Json,
}
