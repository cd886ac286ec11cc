using Colo.Agent.Options;

namespace Colo.Agent.Cluster;

/// <summary>What tells this agent process, and the storage it serves, from any other of the same node name.</summary>
public sealed class AgentIdentity
{
    private const string FileName = ".agent-id";

    private AgentIdentity(string storage) => Storage = storage;

    /// <summary>New with each process.</summary>
    public string Instance { get; } = Guid.NewGuid().ToString("N");

    public DateTimeOffset Started { get; } = TimeProvider.System.GetUtcNow();

    /// <summary>Kept in the first pool: the same over restarts of this agent, another one for an agent on other disks.</summary>
    public string Storage { get; }

    public static AgentIdentity Open(AgentOptions options)
    {
        string pool = options.Pools.OrderBy(p => p.Key, StringComparer.Ordinal).First().Value;
        string path = Path.Combine(pool, FileName);
        try
        {
            if (File.Exists(path) && Guid.TryParse(File.ReadAllText(path), out Guid known))
            {
                return new(known.ToString("N"));
            }

            Directory.CreateDirectory(pool);
            Guid made = Guid.NewGuid();
            File.WriteAllText(path + ".new", made.ToString("N"));
            File.Move(path + ".new", path, overwrite: true);
            return new(made.ToString("N"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The agent serves what it can all the same; the probe tells what is wrong with the pool.
            return new(Guid.NewGuid().ToString("N"));
        }
    }
}
