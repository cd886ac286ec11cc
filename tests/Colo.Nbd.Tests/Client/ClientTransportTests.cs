using System.Net.Sockets;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Nbd.Tests.Client;

/// <summary>The client's socket while it connects.</summary>
public sealed class ClientTransportTests : IDisposable
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);

    private readonly TempDirectory directory = new();
    private readonly Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    [Fact]
    public async Task A_connect_to_a_unix_socket_whose_queue_is_full_waits_for_a_place()
    {
        NbdEndpoint endpoint = Listen(backlog: 0);
        using Socket first = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await first.ConnectAsync(listener.LocalEndPoint!);
        using ClientTransport transport = new(new NbdClientOptions { Endpoint = endpoint, BusyPoll = TimeSpan.Zero });
        Task connecting = Connect(transport, endpoint);
        (await listener.AcceptAsync().WaitAsync(Bound)).Dispose();
        using Socket second = await listener.AcceptAsync().WaitAsync(Bound);
        await connecting.WaitAsync(Bound);
        transport.SendAll("x"u8);
        (await second.ReceiveAsync(new byte[8])).ShouldBe(1);
    }

    [Fact]
    public async Task An_abort_ends_the_wait_for_a_place()
    {
        NbdEndpoint endpoint = Listen(backlog: 0);
        using Socket first = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await first.ConnectAsync(listener.LocalEndPoint!);
        using ClientTransport transport = new(new NbdClientOptions { Endpoint = endpoint, BusyPoll = TimeSpan.Zero });
        Task connecting = Connect(transport, endpoint);
        transport.Abort();
        await Should.ThrowAsync<IOException>(() => connecting.WaitAsync(Bound));
    }

    [Fact]
    public async Task A_transport_aborted_before_its_connect_is_not_connected()
    {
        NbdEndpoint endpoint = Listen(backlog: 4);
        using ClientTransport transport = new(new NbdClientOptions { Endpoint = endpoint, BusyPoll = TimeSpan.Zero });
        transport.Abort();
        await Should.ThrowAsync<IOException>(() => Connect(transport, endpoint).WaitAsync(Bound));
    }

    public void Dispose()
    {
        listener.Dispose();
        directory.Dispose();
    }

    private static Task Connect(ClientTransport transport, NbdEndpoint endpoint) =>
        Task.Factory.StartNew(() => transport.Connect(endpoint), TaskCreationOptions.LongRunning);

    private NbdEndpoint Listen(int backlog)
    {
        listener.Bind(new UnixDomainSocketEndPoint(directory.File("s")));
        listener.Listen(backlog);
        return NbdEndpoint.Unix(directory.File("s"));
    }
}
