using System.Net;

namespace Colo.Nbd.Server;

/// <summary>Where a server listens.</summary>
public abstract record NbdListener
{
    private NbdListener()
    {
    }

    /// <summary>A unix socket. A file left over from a process that died is replaced; a live one is not.</summary>
    /// <param name="Path">At most 107 bytes (sockaddr_un).</param>
    /// <param name="Mode">Who may connect.</param>
    public sealed record Unix(string Path, UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite) : NbdListener
    {
        /// <summary>Called with the path when the file is there and nobody can connect yet, to change whose it is. An
        /// <see cref="IOException"/> of it is the listener's.</summary>
        public Action<string>? Bound { get; init; }
    }

    /// <summary>TCP; port 0 lets the kernel choose (see <see cref="NbdServer.Endpoints"/>).</summary>
    public sealed record Tcp(IPEndPoint EndPoint) : NbdListener
    {
        public const int DefaultPort = 10809;
    }

    /// <summary>The sockets that systemd (or whoever follows its protocol) passes from fd 3 on: LISTEN_PID, LISTEN_FDS.</summary>
    public sealed record Activated : NbdListener;
}
