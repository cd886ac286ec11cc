namespace Colo.Nbd.Client;

/// <summary>The doors: connect to an export, or only ask a server what it has.</summary>
public static class NbdClient
{
    public static Task<NbdClientDevice> ConnectAsync(string uri, CancellationToken cancellationToken = default) =>
        ConnectAsync(new NbdClientOptions { Endpoint = NbdEndpoint.Parse(uri) }, cancellationToken);

    public static Task<NbdClientDevice> ConnectAsync(NbdClientOptions options, CancellationToken cancellationToken = default) =>
        NbdClientDevice.ConnectAsync(options, cancellationToken);

    /// <summary>NBD_OPT_INFO: what the endpoint's export is, without opening it.</summary>
    /// <exception cref="NbdClientException">no connection, or the server refused.</exception>
    public static Task<NbdExportInfo> GetInfoAsync(NbdClientOptions options, CancellationToken cancellationToken = default) =>
        AskAsync(options, static handshake => handshake.Info(), cancellationToken);

    /// <summary>NBD_OPT_LIST: the exports the server is willing to name.</summary>
    /// <exception cref="NbdClientException">no connection, or the server refused.</exception>
    public static Task<IReadOnlyList<NbdExportListing>> ListAsync(
        NbdClientOptions options, CancellationToken cancellationToken = default) =>
        AskAsync(options, static handshake => handshake.List(), cancellationToken);

    private static async Task<T> AskAsync<T>(
        NbdClientOptions options, Func<ClientHandshake, T> question, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        cancellationToken.ThrowIfCancellationRequested();

        // The handshake is synchronous (see ClientTransport), so it gets a thread of its own.
        return await Task.Factory.StartNew(
            () =>
            {
                using ClientTransport transport = new(options);
                using HandshakeDeadline deadline = new(transport, options, cancellationToken);
                return deadline.Run(() =>
                {
                    T answer = question(ClientHandshake.Begin(transport, options));
                    return answer;
                });
            },
            cancellationToken,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
    }
}
