using System.Security.Cryptography;
using System.Text;

namespace Colo.Simulation.Engine;

/// <summary>What happened, line by line: a hash of all of it, which is the same for the same seed, and the last lines for people.</summary>
internal sealed class Trace(Engine engine, int keep, TextWriter? live) : IDisposable
{
    private readonly IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly Queue<string> last = new();

    public long Lines { get; private set; }

    public IReadOnlyCollection<string> Last => last;

    public void Say(string line)
    {
        string text = FormattableString.Invariant($"{engine.Elapsed.TotalSeconds,11:F6} {line}");
        hash.AppendData(Encoding.UTF8.GetBytes(text));
        Lines++;
        last.Enqueue(text);
        if (last.Count > keep)
        {
            last.Dequeue();
        }

        live?.WriteLine(text);
    }

    public string Hash => Convert.ToHexStringLower(hash.GetCurrentHash().AsSpan(0, 8));

    public void Dispose() => hash.Dispose();
}
