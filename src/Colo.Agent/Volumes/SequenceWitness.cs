using System.Buffers.Binary;
using Colo.Linux;

namespace Colo.Agent.Volumes;

/// <summary>
/// Notes, after each write of a state file, how often it was written, in a file that is not put back together with it: in the memory of the
/// running machine, and beside it for another boot. It is never ahead of what is durable, so a state file behind it is an old copy.
/// </summary>
internal sealed class SequenceWitness(string path)
{
    private readonly AtomicFile file = new(path, "seen");

    /// <summary>0 where nothing was noted.</summary>
    /// <exception cref="StateFileException">it is damaged.</exception>
    public long Read() => file.Read() is { Bytes.Length: sizeof(long) } noted ? BinaryPrimitives.ReadInt64LittleEndian(noted.Bytes.Span) : 0;

    public void Note(long sequence)
    {
        Span<byte> noted = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(noted, sequence);
        Directories.Create(Path.GetDirectoryName(path)!);
        file.Write(noted, syncName: false);
    }

    public void Forget() => file.Delete();
}
