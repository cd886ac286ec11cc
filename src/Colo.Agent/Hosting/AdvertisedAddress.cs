using System.Net;

namespace Colo.Agent.Hosting;

/// <summary>What others are told to dial, for a listener of this process.</summary>
public static class AdvertisedAddress
{
    /// <param name="configured">host:port, wins; its port 0 means "whatever port was bound". Empty: nothing is configured.</param>
    /// <param name="bound">Where the listener is.</param>
    /// <param name="nodeIp">In place of a wildcard; empty: unknown.</param>
    public static string Of(string configured, IPEndPoint bound, string nodeIp)
    {
        if (configured.Length > 0)
        {
            int colon = configured.LastIndexOf(':');
            return configured[(colon + 1)..] == "0" ? $"{configured[..colon]}:{bound.Port}" : configured;
        }

        bool isWildcard = bound.Address.Equals(IPAddress.Any) || bound.Address.Equals(IPAddress.IPv6Any);
        return isWildcard && IPAddress.TryParse(nodeIp, out IPAddress? node) ? new IPEndPoint(node, bound.Port).ToString() : bound.ToString();
    }
}
