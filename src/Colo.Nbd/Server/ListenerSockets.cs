using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Colo.Nbd.Server;

/// <summary>Turns a <see cref="NbdListener"/> into listening sockets.</summary>
internal static class ListenerSockets
{
    /// <summary>systemd's SD_LISTEN_FDS_START.</summary>
    private const int FirstActivatedDescriptor = 3;

    /// <summary>More than any unit file names; a wild value must not make us touch foreign descriptors.</summary>
    private const int MaxActivatedDescriptors = 64;

    /// <summary>SOL_SOCKET and SO_REUSEADDR, as Linux numbers them.</summary>
    private const int SolSocket = 1;
    private const int SoReuseAddress = 2;

    public static IReadOnlyList<Socket> Open(NbdListener listener) => listener switch
    {
        NbdListener.Unix unix => [OpenUnix(unix)],
        NbdListener.Tcp tcp => [OpenTcp(tcp.EndPoint)],
        NbdListener.Activated => TakeActivated(),
        _ => throw new ArgumentException($"unknown listener {listener}", nameof(listener)),
    };

    private static Socket OpenUnix(NbdListener.Unix unix)
    {
        RemoveStale(unix.Path);
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new UnixDomainSocketEndPoint(unix.Path));
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(unix.Path, unix.Mode); // before listen: until then nobody can connect
            }

            unix.Bound?.Invoke(unix.Path);

            socket.Listen();
            return socket;
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            socket.Dispose();
            throw new IOException($"cannot listen on unix socket {unix.Path}: {e.Message}", e);
        }
    }

    /// <summary>A socket file that nobody listens on is what a killed process leaves behind.</summary>
    private static void RemoveStale(string path)
    {
        if (!File.Exists(path))
        {
            return;
        }

        using Socket probe = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
            return;
        }
        catch (SocketException e)
        {
            throw new IOException($"cannot listen on {path}: it exists and is no unix socket of ours ({e.Message})", e);
        }

        throw new IOException($"cannot listen on {path}: another process serves there");
    }

    private static Socket OpenTcp(IPEndPoint endPoint)
    {
        Socket socket = new(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            // Raw: SocketOptionName.ReuseAddress sets SO_REUSEPORT as well, and two agents could then share one port.
            socket.SetRawSocketOption(SolSocket, SoReuseAddress, BitConverter.GetBytes(1));
            socket.Bind(endPoint);
            socket.Listen();
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new IOException($"cannot listen on {endPoint}: {e.Message}", e);
        }
    }

    private static List<Socket> TakeActivated()
    {
        string? pid = Environment.GetEnvironmentVariable("LISTEN_PID");
        string? count = Environment.GetEnvironmentVariable("LISTEN_FDS");
        if (!int.TryParse(pid, NumberStyles.None, CultureInfo.InvariantCulture, out int forPid) || forPid != Environment.ProcessId)
        {
            throw new IOException($"no sockets were passed to this process (LISTEN_PID is '{pid}', we are {Environment.ProcessId})");
        }

        if (!int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int descriptors)
            || descriptors is < 1 or > MaxActivatedDescriptors)
        {
            throw new IOException($"LISTEN_FDS is '{count}', not a number from 1 to {MaxActivatedDescriptors}");
        }

        // Not for our children: they would take the same descriptors for theirs.
        Environment.SetEnvironmentVariable("LISTEN_PID", null);
        Environment.SetEnvironmentVariable("LISTEN_FDS", null);
        List<Socket> sockets = [];
        for (int i = 0; i < descriptors; i++)
        {
            try
            {
                sockets.Add(new Socket(new SafeSocketHandle(FirstActivatedDescriptor + i, ownsHandle: true)));
            }
            catch (SocketException e)
            {
                throw new IOException($"passed descriptor {FirstActivatedDescriptor + i} is no socket: {e.Message}", e);
            }
        }

        return sockets;
    }
}
