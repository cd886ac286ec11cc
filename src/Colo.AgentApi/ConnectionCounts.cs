using System.Net;

namespace Colo.AgentApi;

/// <summary>Connections of one listener, in all and by address, each up to a bound: one address cannot take every place. Holds an address only
/// while it has a connection; a unix socket's peer has none, and counts for the whole only. Any thread.</summary>
public sealed class ConnectionCounts(int most, int mostPerAddress)
{
    private readonly Lock gate = new();
    private readonly Dictionary<IPAddress, int> byAddress = [];
    private int all;

    /// <returns>False: a bound is reached, and nothing was counted. True: <see cref="Leave"/> is owed.</returns>
    public bool TryEnter(IPAddress? address)
    {
        lock (gate)
        {
            int ofAddress = address is null ? 0 : byAddress.GetValueOrDefault(address);
            if (all >= most || ofAddress >= mostPerAddress)
            {
                return false;
            }

            all++;
            if (address is not null)
            {
                byAddress[address] = ofAddress + 1;
            }

            return true;
        }
    }

    public void Leave(IPAddress? address)
    {
        lock (gate)
        {
            all--;
            if (address is null)
            {
                return;
            }

            int left = byAddress[address] - 1;
            if (left > 0)
            {
                byAddress[address] = left;
            }
            else
            {
                byAddress.Remove(address);
            }
        }
    }
}
