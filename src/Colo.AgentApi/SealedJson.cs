using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Colo.AgentApi;

/// <summary>
/// A JSON object that carries its own format version and checksum as its last two members, so that people and jq read it as ever:
/// <c>"format": 2, "sha256": "..."</c>, the hash of every byte before that line. A file without both is of format 1.
/// </summary>
internal static class SealedJson
{
    private const int CurrentFormat = 2;
    private const int HashCharacters = SHA256.HashSizeInBytes * 2;

    private static readonly byte[] ObjectEnd = "\n}"u8.ToArray();
    private static readonly byte[] FormatName = "\n  \"format\": "u8.ToArray();
    private static readonly byte[] HashName = "\n  \"sha256\": \""u8.ToArray();
    private static readonly byte[] End = "\"\n}"u8.ToArray();

    /// <param name="json">An indented object with at least one member.</param>
    public static byte[] Seal(ReadOnlySpan<byte> json)
    {
        if (!json.EndsWith(ObjectEnd))
        {
            throw new ArgumentException("an indented object is sealed", nameof(json));
        }

        byte[] body = [.. json[..^ObjectEnd.Length], (byte)',', .. FormatName, .. Encoding.ASCII.GetBytes($"{CurrentFormat},")];
        return [.. body, .. HashName, .. Hash(body), .. End];
    }

    /// <exception cref="InvalidDataException">torn, changed, or of a newer format.</exception>
    public static void Require(ReadOnlySpan<byte> file, string path)
    {
        int bodyLength = file.Length - HashName.Length - HashCharacters - End.Length;
        if (bodyLength < 0 || !file[bodyLength..].StartsWith(HashName) || !file.EndsWith(End))
        {
            RequireUnsealed(file, path);
            return;
        }

        ReadOnlySpan<byte> body = file[..bodyLength];
        if (!file.Slice(bodyLength + HashName.Length, HashCharacters).SequenceEqual(Hash(body)))
        {
            throw new InvalidDataException($"{path}: its checksum is wrong: torn, or changed by another than its writers");
        }

        int at = body.LastIndexOf(FormatName);
        if (at < 0 || !Utf8Parser.TryParse(body[(at + FormatName.Length)..], out int format, out _) || format > CurrentFormat)
        {
            throw new InvalidDataException($"{path}: is of a newer format than {CurrentFormat}");
        }
    }

    /// <summary>Written before there was a seal; with a part of one it has lost the rest.</summary>
    private static void RequireUnsealed(ReadOnlySpan<byte> file, string path)
    {
        if (file.IndexOf("sha256"u8) >= 0 || file.IndexOf("\"format\""u8) >= 0)
        {
            throw new InvalidDataException($"{path}: its checksum is not whole: torn");
        }
    }

    private static byte[] Hash(ReadOnlySpan<byte> body) => Encoding.ASCII.GetBytes(Convert.ToHexStringLower(SHA256.HashData(body)));
}
