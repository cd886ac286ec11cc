using System.Text;
using Colo.Blocks;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Server;

/// <summary>
/// A device under a name, and the connections that use it. Does not own the device: whoever made both closes the export first, so
/// that no request is in flight when the device is disposed.
/// </summary>
public sealed class NbdExport
{
    private readonly Dictionary<long, NbdConnection> connections = [];
    private bool closed;

    /// <param name="name">At most 4096 bytes of UTF-8, no NUL.</param>
    /// <param name="device">Serves every request of every connection.</param>
    public NbdExport(string name, IBlockDevice device)
    {
        if (name.Contains('\0', StringComparison.Ordinal) || Encoding.UTF8.GetByteCount(name) > NbdLimits.MaxStringBytes)
        {
            throw new ArgumentException($"an export name has at most {NbdLimits.MaxStringBytes} bytes of UTF-8 and no NUL", nameof(name));
        }

        Name = name;
        Device = device;
    }

    public string Name { get; }

    public IBlockDevice Device { get; }

    /// <summary>For a person; shown by LIST and INFO.</summary>
    public string? Description { get; init; }

    /// <summary>Refuses writes (EPERM) even where the device could take them.</summary>
    public bool IsReadOnly { get; init; }

    /// <summary>
    /// Where set, the meta context colo:checkpoint is offered: called with the number of the epoch that ends, after every earlier
    /// request of the connection has been answered and before any later one begins.
    /// </summary>
    public Func<long, ValueTask<BlockStatus>>? Checkpoint { get; init; }

    /// <summary>Called when a connection enters, just before its client is told; on that connection's thread. Must not throw.</summary>
    public Action<NbdConnectionInfo>? Connected { get; init; }

    /// <summary>Called when a connection has ended and its last request has been answered. Must not throw.</summary>
    public Action<NbdConnectionInfo>? Disconnected { get; init; }

    public NbdExportMetrics Metrics { get; } = new();

    /// <summary>The connections at this moment: in transmission, or about to be told that they are.</summary>
    public IReadOnlyList<NbdConnectionInfo> Connections
    {
        get
        {
            lock (connections)
            {
                return connections.Values.Select(connection => connection.Info!).ToList();
            }
        }
    }

    /// <summary>
    /// Cuts every connection that uses this export now; ends when the last of their requests has been answered by the device. New
    /// connections may come at once, one whose client has only asked for the export among them. Never await it from within a request of this export: it would wait for itself.
    /// </summary>
    public Task DisconnectAllAsync()
    {
        List<Task> ends = [];
        lock (connections)
        {
            foreach (NbdConnection connection in connections.Values)
            {
                connection.Abort();
                ends.Add(connection.Finished);
            }
        }

        return Task.WhenAll(ends);
    }

    /// <summary>As <see cref="DisconnectAllAsync"/>, and no connection may use this export any more (ERR_SHUTDOWN): when it has ended, no
    /// connection is left, wherever its handshake was, and none can come.</summary>
    public Task CloseAsync()
    {
        lock (connections)
        {
            closed = true;
        }

        return DisconnectAllAsync();
    }

    internal bool IsClosed
    {
        get
        {
            lock (connections)
            {
                return closed;
            }
        }
    }

    internal EnterResult TryAdd(NbdConnection connection, int most)
    {
        lock (connections)
        {
            if (closed)
            {
                return EnterResult.Closed;
            }

            if (connections.Count >= most)
            {
                return EnterResult.Full;
            }

            connections.Add(connection.Id, connection);
        }

        Connected?.Invoke(connection.Info!);
        return EnterResult.Entered;
    }

    internal void Remove(NbdConnection connection)
    {
        bool removed;
        lock (connections)
        {
            removed = connections.Remove(connection.Id);
        }

        if (removed)
        {
            Disconnected?.Invoke(connection.Info!);
        }
    }
}

/// <summary>Whether a connection got onto an export's list.</summary>
internal enum EnterResult
{
    Entered,

    /// <summary>The export, or the server, takes none any more.</summary>
    Closed,

    /// <summary>As many connections use it as may.</summary>
    Full,
}
