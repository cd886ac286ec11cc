using System.Net;
using System.Net.Sockets;

namespace Colo.Cli.Local;

/// <summary>Finds loopback ports for the agents, outside the range that the kernel hands out by itself.</summary>
internal static class FreePort
{
    private const int First = 21_500;
    private const int Last = 31_500;

    /// <param name="taken">Ports already given to another agent that may not be listening yet.</param>
    public static int Find(ISet<int> taken)
    {
        // A random start: two installations set up at the same time rarely meet.
        int start = Random.Shared.Next(First, Last);
        for (int i = 0; i < Last - First; i++)
        {
            int port = First + (start - First + i) % (Last - First);
            if (!taken.Contains(port) && IsFree(port))
            {
                taken.Add(port);
                return port;
            }
        }

        throw new CommandException(ExitCode.Failed, $"no free port from {First} to {Last} on the loopback interface");
    }

    private static bool IsFree(int port)
    {
        using Socket probe = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
