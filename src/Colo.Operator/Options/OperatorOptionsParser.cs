using System.Globalization;
using System.Net;
using Colo.Api;

namespace Colo.Operator.Options;

/// <summary>Turns what was given into <see cref="OperatorOptions"/>, or says everything that is wrong with it at once.</summary>
public static class OperatorOptionsParser
{
    private const string PodNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    private const int MostWorkers = 1024;
    private static readonly TimeSpan ShortestLease = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LongestLease = TimeSpan.FromMinutes(5);

    /// <exception cref="OperatorOptionsException">it cannot work.</exception>
    public static OperatorOptions Parse(IReadOnlyDictionary<string, string> given)
    {
        List<string> faults = [];
        OperatorOptions defaults = new() { Namespace = "", Identity = "" };
        OperatorOptions options = defaults with
        {
            Namespace = Namespace(given, faults),
            WatchNamespaces = WatchNamespaces(given, faults),
            Kubeconfig = ExistingFile(given, "kubeconfig", faults),
            MetricsListen = Listen(given, defaults.MetricsListen, faults),
            LeaderElect = Flag(given, "leader-elect", defaults.LeaderElect, faults),
            LeaderLease = Length(given, "leader-lease", defaults.LeaderLease, ShortestLease, LongestLease, faults),
            Identity = given.GetValueOrDefault("identity") ?? $"{Environment.MachineName}_{Guid.NewGuid():N}",
            Workers = Count(given, "workers", defaults.Workers, MostWorkers, faults),
            DeletionGrace = Length(given, "deletion-grace", defaults.DeletionGrace, TimeSpan.Zero, TimeSpan.FromDays(30), faults),
            GuestTcp = Flag(given, "guest-tcp", defaults.GuestTcp, faults),
            Tls = Tls(given, faults),
            Signing = Signing(given, faults),
            LogFormat = Format(given, faults),
        };
        return faults.Count == 0 ? options : throw new OperatorOptionsException(faults);
    }

    private static string Namespace(IReadOnlyDictionary<string, string> given, List<string> faults)
    {
        string name = given.GetValueOrDefault("namespace")
            ?? (File.Exists(PodNamespaceFile) ? File.ReadAllText(PodNamespaceFile).Trim() : "");
        if (!VolumeRules.IsName(name))
        {
            faults.Add($"--namespace: a namespace's name (needed outside a pod), not '{name}'");
        }

        return name;
    }

    private static string[] WatchNamespaces(IReadOnlyDictionary<string, string> given, List<string> faults)
    {
        string[] names = (given.GetValueOrDefault("watch-namespaces") ?? "")
            .Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        faults.AddRange(names.Where(n => !VolumeRules.IsName(n)).Select(n => $"--watch-namespaces: names of namespaces, not '{n}'"));
        return [.. names.Distinct(StringComparer.Ordinal)];
    }

    private static string? ExistingFile(IReadOnlyDictionary<string, string> given, string option, List<string> faults)
    {
        string? path = given.GetValueOrDefault(option);
        if (path is not null && !File.Exists(path))
        {
            faults.Add($"--{option}: no file at '{path}'");
        }

        return path;
    }

    private static IPEndPoint Listen(IReadOnlyDictionary<string, string> given, IPEndPoint otherwise, List<string> faults)
    {
        if (given.GetValueOrDefault("metrics-listen") is not { } text)
        {
            return otherwise;
        }

        // IPEndPoint takes an address without a port too; here that is a mistake.
        if (text.LastIndexOf(':') > text.LastIndexOf(']') && IPEndPoint.TryParse(text, out IPEndPoint? address))
        {
            return address;
        }

        faults.Add($"--metrics-listen: IP:port with a port of 0-65535, not '{text}'");
        return otherwise;
    }

    private static bool Flag(IReadOnlyDictionary<string, string> given, string option, bool otherwise, List<string> faults)
    {
        if (given.GetValueOrDefault(option) is not { } text)
        {
            return otherwise;
        }

        if (!bool.TryParse(text, out bool value))
        {
            faults.Add($"--{option}: true or false, not '{text}'");
        }

        return value;
    }

    private static TimeSpan Length(
        IReadOnlyDictionary<string, string> given, string option, TimeSpan otherwise, TimeSpan shortest, TimeSpan longest, List<string> faults)
    {
        if (given.GetValueOrDefault(option) is not { } text)
        {
            return otherwise;
        }

        if (Duration.TryParse(text, out Duration value) && value.Value >= shortest && value.Value <= longest)
        {
            return value;
        }

        faults.Add($"--{option}: {Duration.Allowed}, from {new Duration(shortest)} to {new Duration(longest)}, not '{text}'");
        return otherwise;
    }

    private static int Count(IReadOnlyDictionary<string, string> given, string option, int otherwise, int most, List<string> faults)
    {
        if (given.GetValueOrDefault(option) is not { } text)
        {
            return otherwise;
        }

        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= 1 && value <= most)
        {
            return value;
        }

        faults.Add($"--{option}: 1-{most}, not '{text}'");
        return otherwise;
    }

    private static TlsFiles? Tls(IReadOnlyDictionary<string, string> given, List<string> faults)
    {
        string?[] files = [.. new[] { "tls-certificate-file", "tls-key-file", "tls-ca-file" }.Select(o => ExistingFile(given, o, faults))];
        if (files.Count(f => f is not null) is not (0 or 3))
        {
            faults.Add("--tls-certificate-file, --tls-key-file, --tls-ca-file: all three, or none");
        }

        TlsFiles? tls = files is [{ } certificate, { } key, { } ca] ? new TlsFiles(certificate, key, ca) : null;
        string[]? names = given.GetValueOrDefault("tls-agent-names")?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (names is [])
        {
            faults.Add("--tls-agent-names: DNS names separated by commas, or *");
        }

        bool nodeNames = Flag(given, "tls-node-names-required", otherwise: false, faults);
        return tls is null ? null : tls with { AgentNames = names ?? tls.AgentNames, NodeNamesRequired = nodeNames };
    }

    private static SigningFiles? Signing(IReadOnlyDictionary<string, string> given, List<string> faults)
    {
        string? certificate = ExistingFile(given, "signing-certificate-file", faults), key = ExistingFile(given, "signing-key-file", faults);
        if (certificate is null != key is null)
        {
            faults.Add("--signing-certificate-file, --signing-key-file: both, or none");
        }

        SigningFiles? signing = certificate is not null && key is not null ? new(certificate, key) : null;
        if (given.GetValueOrDefault("agent-service-account") is not { } account)
        {
            return signing;
        }

        if (!VolumeRules.IsName(account))
        {
            faults.Add($"--agent-service-account: a service account's name, not '{account}'");
        }

        return signing is null ? null : signing with { AgentServiceAccount = account };
    }

    private static LogFormat Format(IReadOnlyDictionary<string, string> given, List<string> faults)
    {
        switch (given.GetValueOrDefault("log-format"))
        {
            case null or "text":
                return LogFormat.Text;
            case "json":
                return LogFormat.Json;
            case var other:
                faults.Add($"--log-format: text or json, not '{other}'");
                return LogFormat.Text;
        }
    }
}
