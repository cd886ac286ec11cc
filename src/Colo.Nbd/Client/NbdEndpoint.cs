using System.Globalization;

namespace Colo.Nbd.Client;

/// <summary>Where an export is served, as the NBD URI specification (uri.md) writes it.</summary>
public sealed record NbdEndpoint
{
    public const int DefaultPort = 10809;

    private NbdEndpoint(string exportName, bool useTls)
    {
        ExportName = exportName;
        UseTls = useTls;
    }

    /// <summary>Host name or address; null for a unix socket.</summary>
    public string? Host { get; private init; }

    public int Port { get; private init; }

    /// <summary>Path of a unix socket; null for TCP.</summary>
    public string? UnixPath { get; private init; }

    /// <summary>May be empty: the server's default export.</summary>
    public string ExportName { get; init; }

    public bool UseTls { get; init; }

    /// <summary>The URI's tls-certificates parameter: a directory with ca-cert.pem, client-cert.pem and client-key.pem.</summary>
    public string? TlsCertificateDirectory { get; init; }

    public static NbdEndpoint Tcp(string host, int port = DefaultPort, string exportName = "", bool useTls = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(host);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(port);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(port, ushort.MaxValue);
        return new NbdEndpoint(exportName, useTls) { Host = host, Port = port };
    }

    public static NbdEndpoint Unix(string path, string exportName = "", bool useTls = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return new NbdEndpoint(exportName, useTls) { UnixPath = path };
    }

    /// <summary>nbd://host[:port]/export, nbds://..., nbd+unix:///export?socket=path, nbds+unix://...</summary>
    /// <exception cref="FormatException">not one of these; the message says which part.</exception>
    public static NbdEndpoint Parse(string uri)
    {
        ArgumentNullException.ThrowIfNull(uri);
        int colon = uri.IndexOf(':', StringComparison.Ordinal);
        string scheme = colon < 0 ? "" : uri[..colon];
        (bool useTls, bool isUnix) = scheme switch
        {
            "nbd" => (false, false),
            "nbds" => (true, false),
            "nbd+unix" => (false, true),
            "nbds+unix" => (true, true),
            _ => throw new FormatException($"NBD URI '{uri}': the scheme is not nbd, nbds, nbd+unix or nbds+unix"),
        };

        string rest = uri[(colon + 1)..];
        if (!rest.StartsWith("//", StringComparison.Ordinal))
        {
            throw new FormatException($"NBD URI '{uri}': '//' is missing after the scheme");
        }

        rest = rest[2..];
        int question = rest.IndexOf('?', StringComparison.Ordinal);
        Dictionary<string, string> query = ParseQuery(question < 0 ? "" : rest[(question + 1)..]);
        string authorityAndPath = question < 0 ? rest : rest[..question];
        int slash = authorityAndPath.IndexOf('/', StringComparison.Ordinal);
        string authority = slash < 0 ? authorityAndPath : authorityAndPath[..slash];
        string exportName = slash < 0 ? "" : Uri.UnescapeDataString(authorityAndPath[(slash + 1)..]);
        query.TryGetValue("tls-certificates", out string? certificates);

        if (isUnix)
        {
            if (authority.Length > 0 || !query.TryGetValue("socket", out string? path) || path.Length == 0)
            {
                throw new FormatException($"NBD URI '{uri}': a unix URI has an empty host and a ?socket=path");
            }

            return Unix(path, exportName, useTls) with { TlsCertificateDirectory = certificates };
        }

        (string host, int port) = ParseAuthority(uri, authority);
        return Tcp(host, port, exportName, useTls) with { TlsCertificateDirectory = certificates };
    }

    public override string ToString()
    {
        string scheme = UseTls ? "nbds" : "nbd";
        string name = Uri.EscapeDataString(ExportName);
        if (UnixPath is not null)
        {
            return $"{scheme}+unix:///{name}?socket={UnixPath}";
        }

        string host = Host!.Contains(':', StringComparison.Ordinal) ? $"[{Host}]" : Host;
        return string.Create(CultureInfo.InvariantCulture, $"{scheme}://{host}:{Port}/{name}");
    }

    private static (string Host, int Port) ParseAuthority(string uri, string authority)
    {
        int portColon = authority.LastIndexOf(':');
        if (portColon >= 0 && portColon < authority.LastIndexOf(']'))
        {
            portColon = -1;
        }

        int port = DefaultPort;
        if (portColon >= 0
            && (!int.TryParse(authority.AsSpan(portColon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)
                || port is 0 or > ushort.MaxValue))
        {
            throw new FormatException($"NBD URI '{uri}': the port is not a number from 1 to 65535");
        }

        string host = (portColon < 0 ? authority : authority[..portColon]).Trim('[', ']');
        int user = host.IndexOf('@', StringComparison.Ordinal);
        host = user < 0 ? host : host[(user + 1)..];
        return host.Length > 0 ? (host, port) : throw new FormatException($"NBD URI '{uri}': the host is missing");
    }

    private static Dictionary<string, string> ParseQuery(string query)
    {
        Dictionary<string, string> values = new(StringComparer.Ordinal);
        foreach (string pair in query.Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = pair.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? pair : pair[..equals];
            values[key] = equals < 0 ? "" : Uri.UnescapeDataString(pair[(equals + 1)..]);
        }

        return values;
    }
}
