using System.Buffers.Binary;
using System.Text;
using Colo.Nbd.Wire;

namespace Colo.Nbd.Handshake;

/// <summary>
/// Reads an option's data front to back. Whatever does not fit, or is no string that NBD allows, throws <see cref="Malformed"/>
/// (answered with ERR_INVALID): nothing of it reaches logic unparsed.
/// </summary>
internal ref struct OptionPayload(ReadOnlySpan<byte> data)
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private ReadOnlySpan<byte> rest = data;

    public uint ReadUInt32() => BinaryPrimitives.ReadUInt32BigEndian(Take(4));

    public ushort ReadUInt16() => BinaryPrimitives.ReadUInt16BigEndian(Take(2));

    /// <summary>A string with its length in front.</summary>
    public string ReadString()
    {
        uint length = ReadUInt32();
        return length > NbdLimits.MaxStringBytes
            ? throw new Malformed($"a string of {length} bytes, more than {NbdLimits.MaxStringBytes}")
            : Decode(Take((int)length));
    }

    /// <summary>All that is left, as one string.</summary>
    public string ReadRemainingString() => rest.Length > NbdLimits.MaxStringBytes
        ? throw new Malformed($"a string of {rest.Length} bytes, more than {NbdLimits.MaxStringBytes}")
        : Decode(Take(rest.Length));

    public readonly void RequireEnd()
    {
        if (!rest.IsEmpty)
        {
            throw new Malformed($"{rest.Length} bytes too many");
        }
    }

    private static string Decode(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Contains((byte)0))
        {
            throw new Malformed("a string with a NUL in it");
        }

        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw new Malformed("a string that is not UTF-8");
        }
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (rest.Length < count)
        {
            throw new Malformed($"too short: {count} bytes wanted where {rest.Length} are left");
        }

        ReadOnlySpan<byte> taken = rest[..count];
        rest = rest[count..];
        return taken;
    }

    /// <summary>The option's data is wrong; the handshake goes on.</summary>
    public sealed class Malformed(string message) : Exception(message);
}
