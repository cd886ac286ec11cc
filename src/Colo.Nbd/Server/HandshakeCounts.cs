using System.Net;

namespace Colo.Nbd.Server;

/// <summary>How many connections of each address are in their handshake. Holds an address only while there is one. Any thread.</summary>
internal sealed class HandshakeCounts
{
    private readonly Lock gate = new();
    private readonly Dictionary<IPAddress, int> counts = [];

    public int CountOf(IPAddress address)
    {
        lock (gate)
        {
            return counts.GetValueOrDefault(address);
        }
    }

    /// <returns>To be called once, when that handshake is over, however it ended.</returns>
    public Action Enter(IPAddress? address)
    {
        if (address is null)
        {
            return static () => { };
        }

        lock (gate)
        {
            counts[address] = counts.GetValueOrDefault(address) + 1;
        }

        return () => Leave(address);
    }

    private void Leave(IPAddress address)
    {
        lock (gate)
        {
            int left = counts[address] - 1;
            if (left > 0)
            {
                counts[address] = left;
            }
            else
            {
                counts.Remove(address);
            }
        }
    }
}
