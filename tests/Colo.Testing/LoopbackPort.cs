using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Colo.Testing;

/// <summary>
/// A free TCP port below the ephemeral range, for servers that cannot say which one they chose: no outgoing connection of the machine takes
/// it before the server listens, nor while it is stopped to be started again. Nor does an installation of coloctl local, which takes its own
/// from where these end.
/// </summary>
public static class LoopbackPort
{
    private const int First = 10_000;
    private const int End = 21_500;

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
