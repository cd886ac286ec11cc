using System.Net;
using System.Net.Sockets;

namespace Colo.Testing;

/// <summary>A TCP port that nobody listened on a moment ago, for servers that cannot say which one they chose.</summary>
public static class LoopbackPort
{
    public static int FindFree()
    {
        using TcpListener probe = new(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
