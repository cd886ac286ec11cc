using System.Collections;

namespace Colo.Operator.Options;

/// <summary>
/// The spellings people use: --watch-namespaces and COLO_OPERATOR_WATCH_NAMESPACES are the same option. An argument that is no option is
/// refused: a typing error must not be a default.
/// </summary>
public static class OperatorConfiguration
{
    public const string EnvironmentPrefix = "COLO_OPERATOR_";

    internal static readonly (string Name, string Meaning)[] All =
    [
        ("namespace", "NAME   its own namespace, with its Lease and the agents' (default: the pod's)"),
        ("watch-namespaces", "A,B   whose volumes are driven (default: all)"),
        ("kubeconfig", "FILE   default: the service account of the pod"),
        ("metrics-listen", "IP:PORT   /metrics, /healthz, /readyz (default 0.0.0.0:8080)"),
        ("leader-elect", "true|false   default true"),
        ("leader-lease", "DURATION   a leader silent for so long is replaced (default 6s)"),
        ("identity", "NAME[@NODE]   in the leader Lease (default: host name and a random part); with its node, a standby need not wait for the Lease where the node died"),
        ("workers", "N   volumes worked on at the same time (default 32)"),
        ("deletion-grace", "DURATION   how long a deletion waits for a dead node (default 5m)"),
        ("guest-tcp", "true|false   guest disks over TCP too; agents then need --guest-listen (default false)"),
        ("tls-certificate-file", "FILE   PEM, for the connections to the agents"),
        ("tls-key-file", "FILE"),
        ("tls-ca-file", "FILE   agents must chain to it"),
        ("tls-agent-names", "A,B   an agent's certificate must be for one of them, or for NODE.A (default colo-agent; *: any)"),
        ("tls-node-names-required", "true|false   refuses certificates that name no node (default false)"),
        ("signing-certificate-file", "FILE   PEM of the authority that gives each node's agent a certificate of its own"),
        ("signing-key-file", "FILE"),
        ("agent-service-account", "NAME   whose pods are agents (default colo-operator-agent)"),
        ("log-format", "text|json   default text"),
    ];

    public static string Usage =>
        "colo-operator [options]\n" + string.Concat(All.Select(o => $"  --{o.Name} {o.Meaning}\n")) + $"Each is also {EnvironmentPrefix}NAME in the environment.";

    /// <summary>Option names to what was given; the command line overrides the environment.</summary>
    /// <exception cref="ArgumentException">an argument that is no option, or has no value.</exception>
    public static IReadOnlyDictionary<string, string> Read(IReadOnlyList<string> arguments, IDictionary environment)
    {
        Dictionary<string, string> given = new(StringComparer.Ordinal);
        foreach ((string name, _) in All)
        {
            if (environment[EnvironmentPrefix + name.Replace('-', '_').ToUpperInvariant()] is string { Length: > 0 } value)
            {
                given[name] = value;
            }
        }

        for (int i = 0; i < arguments.Count; i++)
        {
            (string argument, string? inline) = arguments[i].Split('=', 2) is [var left, var right] ? (left, right) : (arguments[i], null);
            if (!All.Any(o => argument == "--" + o.Name))
            {
                throw new ArgumentException($"'{argument}' is no option of colo-operator; it has:\n{Usage}");
            }

            given[argument[2..]] = inline ?? ValueAfter(arguments, ref i, argument);
        }

        return given;
    }

    /// <summary>--leader-elect and --guest-tcp alone say true.</summary>
    private static string ValueAfter(IReadOnlyList<string> arguments, ref int at, string argument)
    {
        bool hasValue = at + 1 < arguments.Count && !arguments[at + 1].StartsWith("--", StringComparison.Ordinal);
        return hasValue ? arguments[++at]
            : argument is "--leader-elect" or "--guest-tcp" ? "true"
            : throw new ArgumentException($"{argument}: a value is missing");
    }
}
