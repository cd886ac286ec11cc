using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Colo.Fuzz;

/// <summary>Makes the input of an execution: a seed with a few changes of the kinds that break parsers.</summary>
internal sealed class Mutator(Corpus corpus, string target, ulong seed)
{
    private const int MaxChanges = 8;
    private const int MaxInputBytes = 1 << 20;

    /// <summary>Half of all changes go here: headers and first messages decide most.</summary>
    private const int FrontBytes = 256;

    private static readonly ulong[] Interesting =
    [
        0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 4095, 4096, 4097, 0x7fff, 0x8000, 0xffff, 0x10000,
        0x1ffffff, 0x2000000, 0x2000001, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffe00, 0xffffffff, 0x100000000, 0x00ffffffffffffff,
        0x7ffffffffffffe00, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000010000, 0xffffffffffffff00, 0xffffffffffffffff,
    ];

    public byte[] Make(long execution)
    {
        Random random = new(Mix(execution));
        byte[] input = (byte[])corpus.Seeds[random.Next(corpus.Seeds.Count)].Clone();

        // The seeds themselves first: what fails on them needs no mutation.
        if (execution < corpus.Seeds.Count)
        {
            return (byte[])corpus.Seeds[(int)execution].Clone();
        }

        int changes = 1 + random.Next(random.Next(1, MaxChanges + 1));
        for (int i = 0; i < changes; i++)
        {
            input = Change(input, random);
        }

        return input.Length <= MaxInputBytes ? input : input[..MaxInputBytes];
    }

    private byte[] Change(byte[] input, Random random)
    {
        if (input.Length == 0)
        {
            return [(byte)random.Next(256)];
        }

        int at = random.Next(random.Next(2) == 0 ? Math.Min(input.Length, FrontBytes) : input.Length);
        switch (random.Next(11))
        {
            case 0:
                input[at] ^= (byte)(1 << random.Next(8));
                return input;
            case 1:
                input[at] = (byte)random.Next(256);
                return input;
            case 2:
            case 3:
            case 4:
                WriteNumber(input, at, Interesting[random.Next(Interesting.Length)], random);
                return input;
            case 5:
                WriteNumber(input, at, (ulong)random.NextInt64() >> random.Next(64), random);
                return input;
            case 6:
                return input[..at];
            case 7:
                return Remove(input, at, random);
            case 8:
                return Insert(input, at, RandomBytes(random));
            case 9:
                return Insert(input, at, Piece(input, random));
            default:
                return Insert(input, at, Piece(corpus.Seeds[random.Next(corpus.Seeds.Count)], random));
        }
    }

    /// <summary>Big-endian as NBD and qcow2 write them; aligned as often as not.</summary>
    private static void WriteNumber(byte[] input, int at, ulong value, Random random)
    {
        int width = 1 << random.Next(4);
        at = random.Next(2) == 0 ? at / width * width : at;
        Span<byte> number = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(number, value);
        Span<byte> room = input.AsSpan(at, Math.Min(width, input.Length - at));
        number.Slice(8 - width, room.Length).CopyTo(room);
    }

    private static byte[] Remove(byte[] input, int at, Random random)
    {
        int length = Math.Min(1 + random.Next(64), input.Length - at);
        return [.. input[..at], .. input[(at + length)..]];
    }

    private static byte[] Insert(byte[] input, int at, byte[] piece) => [.. input[..at], .. piece, .. input[at..]];

    private static byte[] RandomBytes(Random random)
    {
        byte[] bytes = new byte[1 + random.Next(64)];
        random.NextBytes(bytes);
        return bytes;
    }

    private static byte[] Piece(byte[] from, Random random)
    {
        int at = random.Next(from.Length);
        return from[at..Math.Min(from.Length, at + 1 + random.Next(512))];
    }

    /// <summary>The same number on every run and every machine (string hash codes are not).</summary>
    private int Mix(long execution)
    {
        Span<byte> key = stackalloc byte[16 + 32];
        key.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(key, seed);
        BinaryPrimitives.WriteInt64LittleEndian(key[8..], execution);
        Encoding.ASCII.GetBytes(target, key[16..]);
        return BinaryPrimitives.ReadInt32LittleEndian(SHA256.HashData(key));
    }
}
