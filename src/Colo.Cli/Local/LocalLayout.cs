using System.Security.Cryptography;
using System.Text;

namespace Colo.Cli.Local;

/// <summary>
/// Where everything of one local installation stands: all below its directory, except memory buffers (/dev/shm), and sockets where
/// the directory's own path is too long for a unix socket. <see cref="RemoveAll"/> removes what is named here and nothing else.
/// </summary>
public sealed class LocalLayout
{
    /// <summary>A unix socket's path has 107 bytes; the agent adds up to 76 of its own (uid and suffix), "/node-a" comes before it.</summary>
    private const int LongestRunDirectory = 107 - 76 - 7;

    public LocalLayout(string directory)
    {
        Root = Path.GetFullPath(directory);
        string mark = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Root)))[..8];
        string own = Path.Combine(Root, "run");
        Run = own.Length <= LongestRunDirectory ? own : ShortDirectory(mark);
        MemoryBuffers = Directory.Exists("/dev/shm") ? $"/dev/shm/colo-{mark}" : Path.Combine(Root, "memory");
    }

    public string Root { get; }

    /// <summary>Sockets.</summary>
    public string Run { get; }

    public string MemoryBuffers { get; }

    public string State => Path.Combine(Root, "state.json");

    /// <summary>The embedded arbiter's records.</summary>
    public string Records => Path.Combine(Root, "record");

    public string ControlSocket => Path.Combine(Run, "control.sock");

    public string ControlPid => Path.Combine(Root, "control.pid");

    public string ControlLog => Path.Combine(Root, "control.log");

    public static string DefaultDirectory()
    {
        string? state = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
        return Path.Combine(
            string.IsNullOrEmpty(state) ? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state") : state,
            "colo");
    }

    public string Node(string node) => Path.Combine(Root, node);

    public string Pool(string node, string pool) => Path.Combine(Node(node), "pools", pool);

    public string AgentPid(string node) => Path.Combine(Node(node), "agent.pid");

    public string AgentLog(string node) => Path.Combine(Node(node), "agent.log");

    public string Sockets(string node) => Path.Combine(Run, node);

    public string AgentSocket(string node) => Path.Combine(Sockets(node), "grpc.sock");

    public string AgentMemoryBuffers(string node) => Path.Combine(MemoryBuffers, node);

    /// <summary>A link that always leads to the present primary's socket, so that a guest reconnects to the same path after a failover.</summary>
    public string GuestSocket(string volume) => Path.Combine(Run, volume + ".sock");

    public void Create(IEnumerable<string> nodes, IEnumerable<string> pools)
    {
        const UnixFileMode ownerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(Root, ownerOnly);
        Directory.CreateDirectory(Run, ownerOnly);
        Directory.CreateDirectory(Records);
        Directory.CreateDirectory(MemoryBuffers, ownerOnly);
        foreach (string node in nodes)
        {
            Directory.CreateDirectory(Sockets(node));
            Directory.CreateDirectory(AgentMemoryBuffers(node));
            foreach (string pool in pools)
            {
                Directory.CreateDirectory(Pool(node, pool));
            }
        }
    }

    public void RemoveAll(IEnumerable<string> nodes)
    {
        foreach (string directory in nodes.Select(Node).Append(Run).Append(Records).Append(MemoryBuffers))
        {
            if (Directory.Exists(directory))
            {
                Directory.Delete(directory, recursive: true);
            }
        }

        File.Delete(ControlPid);
        File.Delete(ControlLog);
        File.Delete(State);
        if (Directory.Exists(Root) && !Directory.EnumerateFileSystemEntries(Root).Any())
        {
            Directory.Delete(Root);
        }
    }

    private static string ShortDirectory(string mark)
    {
        string? runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        string preferred = Path.Combine(string.IsNullOrEmpty(runtime) ? "/tmp" : runtime, "colo-" + mark);
        return preferred.Length <= LongestRunDirectory ? preferred : "/tmp/colo-" + mark;
    }
}
