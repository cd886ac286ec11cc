using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Colo.Testing.Kube;

/// <summary>
/// A free TCP port below the ephemeral range, so that no outgoing connection of the machine takes it while its server is stopped
/// to be started again.
/// </summary>
internal static class StablePort
{
    private const int First = 20_000;
    private const int End = 30_000;

    public static int FindFree()
    {
        while (true)
        {
            int port = RandomNumberGenerator.GetInt32(First, End);
            try
            {
                using TcpListener probe = new(IPAddress.Loopback, port);
                probe.Start();
                return port;
            }
            catch (SocketException)
            {
                // Taken: another one.
            }
        }
    }
}
