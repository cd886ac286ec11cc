using System.Net;
using Microsoft.Extensions.Options;

namespace Colo.Agent.Options;

/// <summary>Refuses a configuration that would fail later; every message names the key and what it allows.</summary>
public sealed class AgentOptionsValidator : IValidateOptions<AgentOptions>
{
    /// <summary>sockaddr_un holds 108 bytes; a volume's socket adds its uid (63) and "-vmview.sock".</summary>
    private const int MaxSocketDirectoryLength = 108 - 1 - 63 - 13;

    /// <summary>A Kubernetes object's name has at most 253 characters; the node's Lease is "colo-agent-" and the node's name.</summary>
    private const int MaxNodeNameLength = 253 - 11;
    private const int MaxPoolNameLength = 63;

    public ValidateOptionsResult Validate(string? name, AgentOptions options)
    {
        List<string> faults = [];
        Names(options, faults);
        Directories(options, faults);
        Listeners(options, faults);
        Guests(options, faults);
        Kubernetes(options, faults);
        Tls(options.Tls, faults);
        Range(faults, "Limits:MaxVolumes", options.Limits.MaxVolumes, 1, 4096);
        Range(faults, "Limits:MaxWatchers", options.Limits.MaxWatchers, 1, 1024);
        Range(faults, "Limits:ShutdownSeconds", options.Limits.ShutdownSeconds, 1, 600);
        Range(faults, "Limits:ProbeIntervalSeconds", options.Limits.ProbeIntervalSeconds, 1, 3600);
        Range(faults, "Limits:ProbeTimeoutSeconds", options.Limits.ProbeTimeoutSeconds, 1, 600);
        Range(faults, "Limits:RetryMilliseconds", options.Limits.RetryMilliseconds, 10, 60_000);
        Range(faults, "Limits:PeerTimeoutMilliseconds", options.Limits.PeerTimeoutMilliseconds, 100, 600_000);
        Range(faults, "Limits:KubernetesTimeoutMilliseconds", options.Limits.KubernetesTimeoutMilliseconds, 100, 60_000);
        return faults.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(faults);
    }

    private static void Names(AgentOptions options, List<string> faults)
    {
        if (!IsName(options.NodeName, MaxNodeNameLength))
        {
            faults.Add($"NodeName (--node-name): 1-{MaxNodeNameLength} of [a-zA-Z0-9.-], not '{options.NodeName}'");
        }

        if (options.Pools.Count == 0)
        {
            faults.Add("Pools (--pool NAME=DIRECTORY): at least one");
        }

        foreach ((string pool, string directory) in options.Pools)
        {
            if (!IsName(pool, MaxPoolNameLength))
            {
                faults.Add($"Pools (--pool): a name is 1-{MaxPoolNameLength} of [a-zA-Z0-9.-], not '{pool}'");
            }

            Absolute(faults, $"Pools:{pool}", directory, optional: false);
        }

        if (options.LogFormat is not ("text" or "json"))
        {
            faults.Add($"LogFormat (--log-format): text or json, not '{options.LogFormat}'");
        }
    }

    private static void Directories(AgentOptions options, List<string> faults)
    {
        Absolute(faults, "SocketDirectory (--socket-directory)", options.SocketDirectory, optional: false);
        if (options.SocketDirectory.Length > MaxSocketDirectoryLength)
        {
            faults.Add($"SocketDirectory (--socket-directory): at most {MaxSocketDirectoryLength} characters (a unix socket's path is "
                + $"limited to 107), not {options.SocketDirectory.Length}");
        }

        Absolute(faults, "MemoryBufferDirectory (--memory-buffer-directory)", options.MemoryBufferDirectory, optional: false);
        Absolute(faults, "ArbiterDirectory (--arbiter-directory)", options.ArbiterDirectory, optional: true);
    }

    private static void Listeners(AgentOptions options, List<string> faults)
    {
        string[] grpc = options.GrpcListen.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (grpc.Length == 0)
        {
            faults.Add("GrpcListen (--grpc-listen): at least one host:port or unix:/path");
        }

        foreach (string address in grpc)
        {
            Address(faults, "GrpcListen (--grpc-listen)", address, allowUnix: true);
        }

        Address(faults, "ReplicationListen (--replication-listen)", options.ReplicationListen, allowUnix: false);
        Address(faults, "MetricsListen (--metrics-listen)", options.MetricsListen, allowUnix: false);
        if (options.GuestListen.Length > 0)
        {
            Address(faults, "GuestListen (--guest-listen)", options.GuestListen, allowUnix: false);
        }

        foreach ((string key, string address) in new[]
        {
            ("ReplicationAdvertise (--replication-advertise)", options.ReplicationAdvertise),
            ("GrpcAdvertise (--grpc-advertise)", options.GrpcAdvertise),
        })
        {
            if (address.Length > 0 && !address.Contains(':', StringComparison.Ordinal))
            {
                faults.Add($"{key}: host:port, not '{address}'");
            }
        }

        if (options.AdvertiseIp.Length > 0 && !IPAddress.TryParse(options.AdvertiseIp, out _))
        {
            faults.Add($"AdvertiseIp (--advertise-ip, POD_IP): an IP address, not '{options.AdvertiseIp}'");
        }
    }

    private static void Guests(AgentOptions options, List<string> faults)
    {
        if (options.GuestTls is not ("auto" or "required" or "none"))
        {
            faults.Add($"GuestTls (--guest-tls): auto, required or none, not '{options.GuestTls}'");
        }
        else if (options.GuestTls == "required" && !options.Tls.IsEnabled)
        {
            faults.Add("GuestTls (--guest-tls): required needs Tls:Directory (--tls-directory)");
        }

        if (options.GuestSocketGroup.Length > 0 && GuestSockets.ParseGroup(options.GuestSocketGroup) is null)
        {
            faults.Add($"GuestSocketGroup (--guest-socket-group): the number of a group, not '{options.GuestSocketGroup}'");
        }

        if (GuestSockets.ParseMode(options.GuestSocketMode) is null)
        {
            faults.Add($"GuestSocketMode (--guest-socket-mode): octal, 0600 to 0666, not '{options.GuestSocketMode}'");
        }
    }

    private static void Kubernetes(AgentOptions options, List<string> faults)
    {
        if (options.Kubernetes is not ("auto" or "true" or "false"))
        {
            faults.Add($"Kubernetes (--kubernetes): auto, true or false, not '{options.Kubernetes}'");
        }

        if (options.Kubeconfig.Length > 0 && !File.Exists(options.Kubeconfig))
        {
            faults.Add($"Kubeconfig (--kubeconfig): no file at '{options.Kubeconfig}'");
        }
    }

    private static void Tls(TlsOptions tls, List<string> faults)
    {
        int given = new[] { tls.CertificateFile, tls.KeyFile, tls.CaFile }.Count(f => f.Length > 0);
        if (tls.Directory.Length == 0 && given is not (0 or 3))
        {
            faults.Add("Tls:CertificateFile, Tls:KeyFile, Tls:CaFile: all three, or none, or Tls:Directory");
        }

        if (tls.IsEnabled && new[] { tls.OperatorNames, tls.AgentNames, tls.GuestNames }.Any(n => n.Trim().Length == 0))
        {
            faults.Add("Tls:OperatorNames, Tls:AgentNames, Tls:GuestNames: DNS names separated by commas, or *");
        }

        if (tls.AsksForCertificate && !tls.IsEnabled)
        {
            faults.Add("Tls:Signer (--tls-signer): needs Tls:CertificateFile, Tls:KeyFile and Tls:CaFile, the first two as places to write to");
        }

        // What the agent is given by the signer, it writes itself.
        (string Key, string Path)[] files = tls.AsksForCertificate
            ? [("Tls:CaFile", tls.CaPath)]
            : [("Tls:CertificateFile", tls.CertificatePath), ("Tls:KeyFile", tls.KeyPath), ("Tls:CaFile", tls.CaPath)];
        foreach ((string key, string path) in files)
        {
            if (path.Length > 0 && !File.Exists(path))
            {
                faults.Add($"{key}: no file at '{path}'");
            }
        }
    }

    private static void Absolute(List<string> faults, string key, string path, bool optional)
    {
        if ((path.Length > 0 || !optional) && !Path.IsPathFullyQualified(path))
        {
            faults.Add($"{key}: an absolute path, not '{path}'");
        }
    }

    private static void Address(List<string> faults, string key, string text, bool allowUnix)
    {
        if (!ListenAddress.TryParse(text, out ListenAddress? address) || (address.UnixPath is not null && !allowUnix))
        {
            faults.Add($"{key}: {(allowUnix ? "IP:port or unix:/path" : "IP:port")} with a port of 0-65535, not '{text}'");
        }
    }

    private static void Range(List<string> faults, string key, int value, int minimum, int maximum)
    {
        if (value < minimum || value > maximum)
        {
            faults.Add($"{key}: {minimum}-{maximum}, not {value}");
        }
    }

    private static bool IsName(string name, int maxLength) =>
        name.Length > 0 && name.Length <= maxLength
        && !name.AsSpan().ContainsAnyExcept("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
        && name[0] != '.';
}
