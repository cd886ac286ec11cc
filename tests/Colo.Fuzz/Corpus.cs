using System.Security.Cryptography;

namespace Colo.Fuzz;

/// <summary>The seeds of one target: the files of its folder, in the order of their names. Those beginning with '_' are not seeds
/// but parts that a target uses itself.</summary>
internal sealed class Corpus
{
    private Corpus(IReadOnlyList<byte[]> seeds) => Seeds = seeds;

    public IReadOnlyList<byte[]> Seeds { get; }

    /// <exception cref="InvalidDataException">there are none: a fuzzer without seeds finds nothing and must not look green.</exception>
    public static Corpus Load(string folder, string target)
    {
        string path = Path.Combine(folder, target);
        List<byte[]> seeds = [];
        foreach (string file in Directory.Exists(path) ? Directory.GetFiles(path).Order(StringComparer.Ordinal) : Enumerable.Empty<string>())
        {
            if (!Path.GetFileName(file).StartsWith('_'))
            {
                seeds.Add(File.ReadAllBytes(file));
            }
        }

        return seeds.Count > 0 ? new Corpus(seeds) : throw new InvalidDataException($"no seeds in {path}; make them with --make-corpus");
    }

    public static byte[] Hash(ReadOnlySpan<byte> input) => SHA256.HashData(input)[..6];
}
