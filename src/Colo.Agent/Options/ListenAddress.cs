using System.Diagnostics.CodeAnalysis;
using System.Net;

namespace Colo.Agent.Options;

/// <summary>Where to listen: an IP address and port (0: any free one), or a unix socket.</summary>
public sealed record ListenAddress(IPEndPoint? Tcp, string? UnixPath)
{
    private const string UnixPrefix = "unix:";

    public static bool TryParse(string text, [NotNullWhen(true)] out ListenAddress? address)
    {
        address = null;
        if (text.StartsWith(UnixPrefix, StringComparison.Ordinal))
        {
            string path = text[UnixPrefix.Length..];
            address = Path.IsPathFullyQualified(path) ? new(null, path) : null;
        }
        else
        {
            string host = text.StartsWith("localhost:", StringComparison.Ordinal) ? "127.0.0.1" + text["localhost".Length..] : text;

            // IPEndPoint takes "127.0.0.1" without a port too; an address without one is a mistake here.
            bool hasPort = host.LastIndexOf(':') > host.LastIndexOf(']') && host.Contains(':', StringComparison.Ordinal);
            address = hasPort && IPEndPoint.TryParse(host, out IPEndPoint? tcp) ? new(tcp, null) : null;
        }

        return address is not null;
    }

    public static ListenAddress Parse(string text) =>
        TryParse(text, out ListenAddress? address) ? address : throw new FormatException($"IP:port or unix:/path, not '{text}'");

    public override string ToString() => UnixPath is null ? Tcp!.ToString() : UnixPrefix + UnixPath;
}
