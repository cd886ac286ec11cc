using System.Text;
using Colo.Agent.Options;
using Colo.Linux;

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
        try
        {
            Directories.Create(pool);
            AtomicFile file = new(Path.Combine(pool, FileName), "agentid", older: static text => IsId(text.Span) ? text.ToArray() : null);
            if (file.Read() is { } known && IsId(known.Bytes.Span))
            {
                return new(Guid.Parse(Encoding.ASCII.GetString(known.Bytes.Span)).ToString("N"));
            }

            string made = Guid.NewGuid().ToString("N");
            file.Write(Encoding.ASCII.GetBytes(made));
            return new(made);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The agent serves what it can all the same; the probe tells what is wrong with the pool.
            return new(Guid.NewGuid().ToString("N"));
        }
    }

    private static bool IsId(ReadOnlySpan<byte> text) => Guid.TryParse(Encoding.ASCII.GetString(text), out _);
}
