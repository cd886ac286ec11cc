namespace Colo.Agent.Service;

/// <summary>How others reach this agent's listeners, with the ports that they really have (0 asks for any free one); set once when they
/// are bound.</summary>
public sealed class BoundAddresses
{
    private (Func<string> Address, bool IsTcp)? grpc;

    /// <summary>host:port, or unix:/path where gRPC listens on no TCP port; once it listens.</summary>
    public string Grpc => grpc?.Address() ?? "";

    /// <summary>host:port as a peer should dial it.</summary>
    public string Replication { get; set; } = "";

    /// <summary>host:port; empty where guests have unix sockets only.</summary>
    public string Guest { get; set; } = "";

    /// <summary>The first listener counts, and one of TCP before a unix socket.</summary>
    public void OfferGrpc(Func<string> address, bool isTcp)
    {
        if (grpc is null || (isTcp && !grpc.Value.IsTcp))
        {
            grpc = (address, isTcp);
        }
    }
}
