using System.Collections;

namespace Colo.Agent.Options;

/// <summary>
/// Turns the spellings people use into configuration keys: --node-name and COLO_AGENT_NODE_NAME both are NodeName; --tls-key-file is
/// Tls:KeyFile; --pool NAME=DIRECTORY is Pools:NAME. What a pod is told of itself (NODE_NAME, POD_IP, POD_NAMESPACE) counts where
/// nothing else is said. An argument that is no key is refused: a typing error must not be a default.
/// </summary>
public static class AgentConfiguration
{
    private const string EnvironmentPrefix = "COLO_AGENT_";

    /// <summary>Environment variables by which manifests hand a pod's own fields to it (the downward API).</summary>
    private static readonly (string Variable, string Key)[] Downward =
    [
        ("NODE_NAME", nameof(AgentOptions.NodeName)),
        ("POD_IP", nameof(AgentOptions.AdvertiseIp)),
        ("POD_NAMESPACE", nameof(AgentOptions.KubernetesNamespace)),
    ];

    private static readonly string[] Keys =
    [
        .. typeof(AgentOptions).GetProperties().Where(p => p.PropertyType == typeof(string)).Select(p => p.Name),
        .. typeof(TlsOptions).GetProperties().Where(p => p.CanWrite).Select(p => "Tls:" + p.Name),
        .. typeof(LimitOptions).GetProperties().Select(p => "Limits:" + p.Name),
    ];

    /// <param name="configuration">Gets the sources.</param>
    /// <param name="arguments">Of the command line.</param>
    /// <param name="environment">The process's own where none is given.</param>
    /// <exception cref="ArgumentException">an argument that is no key, or has no value.</exception>
    public static void AddAgentConfiguration(
        this IConfigurationBuilder configuration, IReadOnlyList<string> arguments, IDictionary? environment = null)
    {
        environment ??= Environment.GetEnvironmentVariables();
        Dictionary<string, string?> fromArguments = FromArguments(arguments, out string? file);
        configuration.AddInMemoryCollection(Downward
            .Select(d => KeyValuePair.Create(d.Key, environment[d.Variable] as string))
            .Where(d => d.Value is { Length: > 0 }));
        if (file is not null)
        {
            configuration.AddJsonFile(Path.GetFullPath(file), optional: false, reloadOnChange: false);
        }

        configuration.AddInMemoryCollection(FromEnvironment(environment));
        configuration.AddInMemoryCollection(fromArguments);
    }

    public static string Usage =>
        "colo-agent --node-name NAME --pool NAME=DIRECTORY [--config FILE] [options]\n"
        + string.Concat(Keys.Select(k => $"  --{Kebab(k)} VALUE\n"));

    private static Dictionary<string, string?> FromArguments(IReadOnlyList<string> arguments, out string? file)
    {
        Dictionary<string, string?> values = new(StringComparer.OrdinalIgnoreCase);
        file = null;
        for (int i = 0; i < arguments.Count; i++)
        {
            (string name, string? inline) = arguments[i].Split('=', 2) is [var left, var right] ? (left, right) : (arguments[i], null);
            string value = inline
                ?? (i + 1 < arguments.Count ? arguments[++i] : throw new ArgumentException($"{name}: a value is missing"));
            if (name == "--config")
            {
                file = value;
            }
            else if (name == "--pool")
            {
                string[] pair = value.Split('=', 2);
                values["Pools:" + pair[0]] = pair.Length == 2
                    ? pair[1]
                    : throw new ArgumentException($"--pool: NAME=DIRECTORY, not '{value}'");
            }
            else
            {
                string key = Keys.FirstOrDefault(k => name == "--" + Kebab(k))
                    ?? throw new ArgumentException($"'{name}' is no option of colo-agent; it has:\n{Usage}");
                values[key] = value;
            }
        }

        return values;
    }

    private static Dictionary<string, string?> FromEnvironment(IDictionary environment)
    {
        Dictionary<string, string?> values = new(StringComparer.OrdinalIgnoreCase);
        foreach (DictionaryEntry entry in environment)
        {
            if (entry.Key is not string name || !name.StartsWith(EnvironmentPrefix, StringComparison.Ordinal))
            {
                continue;
            }

            string rest = name[EnvironmentPrefix.Length..];
            const string poolPrefix = "POOL_";
            if (rest.StartsWith(poolPrefix, StringComparison.Ordinal))
            {
                values["Pools:" + rest[poolPrefix.Length..].ToLowerInvariant()] = entry.Value as string;
            }
            else if (Keys.FirstOrDefault(k => rest == Kebab(k).Replace('-', '_').ToUpperInvariant()) is { } key)
            {
                values[key] = entry.Value as string;
            }
        }

        return values;
    }

    /// <summary>Limits:MaxVolumes is max-volumes: limits are plain options to a person; Tls:KeyFile is tls-key-file.</summary>
    private static string Kebab(string key)
    {
        string name = key.StartsWith("Limits:", StringComparison.Ordinal) ? key["Limits:".Length..] : key;
        return string.Concat(name.Select((c, i) => c switch
        {
            ':' => "-",
            >= 'A' and <= 'Z' when i > 0 && name[i - 1] != ':' => "-" + char.ToLowerInvariant(c),
            >= 'A' and <= 'Z' => char.ToLowerInvariant(c).ToString(),
            _ => c.ToString(),
        }));
    }
}
