using System.Buffers.Binary;
using System.Text;

namespace Colo.Qcow2.Tests;

/// <summary>Images whose fields lie: each is refused with its reason, before anything of that size is allocated.</summary>
public class HostileImageTests
{
    private const int ClusterBits = 16;
    private const int Cluster = 1 << ClusterBits;

    // The layout of a fresh image: refcount table, refcount block, L1 table, and the first allocations behind them.
    private const int RefcountTable = Cluster;
    private const int L1 = 3 * Cluster;
    private const int L2 = 4 * Cluster;

    private delegate void Damage(byte[] image);

    public static TheoryData<string, Qcow2Fault, string> Cases
    {
        get
        {
            TheoryData<string, Qcow2Fault, string> cases = [];
            foreach ((string name, (Qcow2Fault fault, string says, Damage _)) in Table)
            {
                cases.Add(name, fault, says);
            }

            return cases;
        }
    }

    private static Dictionary<string, (Qcow2Fault Fault, string Says, Damage Damage)> Table { get; } = new(StringComparer.Ordinal)
    {
        ["wrong magic"] = (Qcow2Fault.NotQcow2, "QFI", b => b[0] = 0),
        ["version 1"] = (Qcow2Fault.UnsupportedVersion, "version 1", b => U32(b, 4, 1)),
        ["version 4"] = (Qcow2Fault.UnsupportedVersion, "2 and 3", b => U32(b, 4, 4)),
        ["cluster bits 8"] = (Qcow2Fault.InvalidField, "9 to 21", b => U32(b, 20, 8)),
        ["cluster bits 22"] = (Qcow2Fault.InvalidField, "9 to 21", b => U32(b, 20, 22)),
        ["cluster bits 4 billion"] = (Qcow2Fault.InvalidField, "9 to 21", b => U32(b, 20, uint.MaxValue)),
        ["virtual size 2^64 - 1"] = (Qcow2Fault.TooLarge, "virtual size", b => U64(b, 24, ulong.MaxValue)),
        ["virtual size beyond the L1 table"] = (Qcow2Fault.InvalidField, "needs", b => U64(b, 24, 1UL << 50)),
        ["AES encryption"] = (Qcow2Fault.Encrypted, "encrypted", b => U32(b, 32, 1)),
        ["unknown encryption"] = (Qcow2Fault.InvalidField, "encrypted", b => U32(b, 32, 9)),
        ["L1 above 32 MiB"] = (Qcow2Fault.TooLarge, "32 MiB", b => U32(b, 36, uint.MaxValue)),
        ["L1 too small"] = (Qcow2Fault.InvalidField, "needs", b => U32(b, 36, 0)),
        ["L1 past the file"] = (Qcow2Fault.OutOfFile, "L1 table", b => U64(b, 40, 1UL << 40)),
        ["L1 misaligned"] = (Qcow2Fault.Misaligned, "L1 table", b => U64(b, 40, L1 + 512)),
        ["L1 at 0"] = (Qcow2Fault.Misaligned, "L1 table", b => U64(b, 40, 0)),
        ["L1 onto the refcount table"] = (Qcow2Fault.Overlap, "shares", b => U64(b, 40, RefcountTable)),
        ["refcount table past the file"] = (Qcow2Fault.OutOfFile, "refcount table", b => U64(b, 48, 1UL << 50)),
        ["refcount table misaligned"] = (Qcow2Fault.Misaligned, "refcount table", b => U64(b, 48, 1)),
        ["refcount table without clusters"] = (Qcow2Fault.InvalidField, "at least 1", b => U32(b, 56, 0)),
        ["refcount table above 8 MiB"] = (Qcow2Fault.TooLarge, "8 MiB", b => U32(b, 56, 129)),
        ["refcount block past the file"] = (Qcow2Fault.OutOfFile, "refcount block", b => U64(b, RefcountTable, 1UL << 40)),
        ["refcount block at the top of 64 bits"] = (Qcow2Fault.OutOfFile, "refcount block", b => U64(b, RefcountTable, ulong.MaxValue)),
        ["refcount block misaligned"] = (Qcow2Fault.Misaligned, "refcount block", b => U64(b, RefcountTable, (2 * Cluster) + 512)),
        ["refcount block onto the header's cluster"] = (Qcow2Fault.Overlap, "shares", b => U64(b, RefcountTable, RefcountTable)),
        ["snapshots above the limit"] = (Qcow2Fault.TooLarge, "65536", b => U32(b, 60, 65537)),
        ["snapshot table past the file"] = (Qcow2Fault.OutOfFile, "snapshot table", b => { U32(b, 60, 1); U64(b, 64, 1UL << 45); }),
        ["snapshot table onto the L1 table"] = (Qcow2Fault.Overlap, "shares", b => { U32(b, 60, 1); U64(b, 64, L1); }),
        ["snapshot with huge extra data"] = (Qcow2Fault.TooLarge, "extra data", b => { Snapshot(b); U32(b, SpareCluster + 36, uint.MaxValue); }),
        ["snapshot with a huge L1 table"] = (Qcow2Fault.TooLarge, "L1 table", b => { Snapshot(b); U32(b, SpareCluster + 8, uint.MaxValue); }),
        ["snapshot with an L1 table past the file"] = (Qcow2Fault.OutOfFile, "L1 table", b => { Snapshot(b); U32(b, SpareCluster + 8, 1); U64(b, SpareCluster, 1UL << 60); }),
        ["dirty-corrupt bit"] = (Qcow2Fault.MarkedCorrupt, "qemu-img check -r", b => U64(b, 72, 2)),
        ["external data bit"] = (Qcow2Fault.ExternalDataFile, "another file", b => U64(b, 72, 4)),
        ["unknown incompatible bit"] = (Qcow2Fault.UnsupportedFeature, "0x20", b => U64(b, 72, 32)),
        ["unknown incompatible bit 63"] = (Qcow2Fault.UnsupportedFeature, "0x8000000000000000", b => U64(b, 72, 1UL << 63)),
        ["refcount order 7"] = (Qcow2Fault.InvalidField, "0 to 6", b => U32(b, 96, 7)),
        ["header shorter than v3"] = (Qcow2Fault.InvalidField, "header_length", b => U32(b, 100, 72)),
        ["header longer than a cluster"] = (Qcow2Fault.InvalidField, "header_length", b => U32(b, 100, 1 << 20)),
        ["compression without its bit"] = (Qcow2Fault.InvalidField, "compression_type", b => b[104] = 1),
        ["backing name above 1023"] = (Qcow2Fault.TooLarge, "1023", b => { U64(b, 8, 200); U32(b, 16, 1024); }),
        ["backing name inside the header"] = (Qcow2Fault.OutOfFile, "backing file name", b => { U64(b, 8, 8); U32(b, 16, 10); }),
        ["backing name past the cluster"] = (Qcow2Fault.OutOfFile, "backing file name", b => { U64(b, 8, Cluster - 4); U32(b, 16, 10); }),
        ["backing name at the top of 64 bits"] = (Qcow2Fault.OutOfFile, "backing file name", b => { U64(b, 8, ulong.MaxValue - 3); U32(b, 16, 10); }),
        ["backing name with NUL"] = (Qcow2Fault.InvalidField, "NUL", b => { U64(b, 8, 200); U32(b, 16, 4); Encoding.ASCII.GetBytes("a\0bc").CopyTo(b, 200); }),
        ["extension past its area"] = (Qcow2Fault.InvalidField, "reaches past", b => { U32(b, 112, 0x12345678); U32(b, 116, uint.MaxValue); }),
        ["format name too long"] = (Qcow2Fault.InvalidField, "backing format", b => { U32(b, 112, 0xe2792aca); U32(b, 116, 200); }),
        ["LUKS extension"] = (Qcow2Fault.Encrypted, "LUKS", b => { U32(b, 112, 0x0537be77); U32(b, 116, 16); }),
        ["bitmaps extension of a wrong size"] = (Qcow2Fault.InvalidField, "bitmaps", b => { U32(b, 112, 0x23852875); U32(b, 116, 8); }),
        ["bitmap directory above the limit"] = (Qcow2Fault.TooLarge, "bitmaps", b => { U32(b, 112, 0x23852875); U32(b, 116, 24); U32(b, 120, 1); U64(b, 128, 1UL << 40); }),
        ["L1 entry with reserved bits"] = (Qcow2Fault.InvalidField, "L1 entry", b => b[L1] |= 0x40),
        ["L2 table past the file"] = (Qcow2Fault.OutOfFile, "L2 table", b => U64(b, L1, 1UL << 40)),
        ["L2 table misaligned"] = (Qcow2Fault.Misaligned, "L2 table", b => U64(b, L1, L2 + 512)),
        ["L2 table onto the header"] = (Qcow2Fault.Overlap, "shares", b => { U64(b, L1, L1); }),
        ["data past the file"] = (Qcow2Fault.OutOfFile, "data cluster", b => U64(b, L2, 1UL << 45)),
        ["data misaligned"] = (Qcow2Fault.Misaligned, "data cluster", b => U64(b, L2, (5 * Cluster) + 512)),
        ["data onto the L1 table"] = (Qcow2Fault.Overlap, "onto metadata", b => U64(b, L2, L1)),
        ["data onto its own L2 table"] = (Qcow2Fault.Overlap, "onto metadata", b => U64(b, L2, L2)),
        ["compressed cluster"] = (Qcow2Fault.Compressed, "compressed", b => U64(b, L2, (1UL << 62) | (5UL * Cluster))),
        ["L2 entry with reserved bits"] = (Qcow2Fault.InvalidField, "reserved bits", b => b[L2] |= 0x10),
        ["data without a refcount"] = (Qcow2Fault.InvalidField, "refcount 0", b => b.AsSpan(2 * Cluster, 64).Clear()),
    };

    private static int SpareCluster => 5 * Cluster;

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_hostile_image_is_refused_with_its_reason(string name, Qcow2Fault fault, string says)
    {
        byte[] image = await SoundImageAsync();
        Table[name].Damage(image);
        MemoryImageFile file = new(image);
        long before = GC.GetAllocatedBytesForCurrentThread();

        Qcow2Exception refused = Should.Throw<Qcow2Exception>(() => { _ = Qcow2Image.OpenAsync(file).AsTask().GetAwaiter().GetResult(); });

        refused.Fault.ShouldBe(fault, refused.Message);
        refused.Message.ShouldContain(says, Case.Sensitive);
        (GC.GetAllocatedBytesForCurrentThread() - before).ShouldBeLessThan(16 << 20);
    }

    [Fact]
    public async Task The_sound_image_that_is_damaged_here_opens() =>
        await (await Qcow2Image.OpenAsync(new MemoryImageFile(await SoundImageAsync()))).DisposeAsync();

    [Fact]
    public async Task A_subcluster_both_allocated_and_zero_is_refused()
    {
        MemoryImageFile file = new();
        Qcow2Image image = await Qcow2Image.CreateAsync(file, new() { LengthBytes = 1 << 20, ClusterBits = ClusterBits });
        await image.WriteAsync(0, new byte[100]);
        byte[] bytes = file.Snapshot();
        bytes[L2 + 11] |= 1;

        Qcow2Exception refused = await Should.ThrowAsync<Qcow2Exception>(async () => await Qcow2Image.OpenAsync(new MemoryImageFile(bytes)));

        refused.Message.ShouldContain("both allocated and zero");
    }

    [Fact]
    public async Task Random_bytes_in_an_image_end_in_a_refusal_or_in_answers_never_in_anything_else()
    {
        byte[] sound = await SoundImageAsync();
        for (int seed = 0; seed < 300; seed++)
        {
            Random random = new(seed);
            byte[] bytes = [.. sound];
            for (int i = random.Next(1, 20); i > 0; i--)
            {
                int[] places = [random.Next(256), RefcountTable + random.Next(64), L1 + random.Next(64), L2 + random.Next(256)];
                bytes[places[random.Next(4)]] = (byte)random.Next(256);
            }

            try
            {
                await using Qcow2Image image = await Qcow2Image.OpenAsync(new MemoryImageFile(bytes[..random.Next(bytes.Length)]));
                byte[] data = new byte[4096];
                await image.ReadAsync(0, data.AsMemory(0, (int)Math.Min(image.LengthBytes, 4096)));
                await image.WriteAsync(0, data.AsMemory(0, (int)Math.Min(image.LengthBytes, 4096)));
            }
            catch (Qcow2Exception refused)
            {
                refused.Path.ShouldBe("memory");
            }
        }
    }

    private static async Task<byte[]> SoundImageAsync()
    {
        MemoryImageFile file = new() { Records = false };
        await using Qcow2Image image = await Qcow2Image.CreateAsync(file, new() { LengthBytes = 1 << 20, ClusterBits = ClusterBits, ExtendedL2 = false });
        await image.WriteAsync(0, new byte[2 * Cluster]);
        return file.Snapshot();
    }

    private static void Snapshot(byte[] image)
    {
        // Over the first data cluster, which the L2 table then no longer maps.
        U64(image, L2, 0);
        U32(image, 60, 1);
        U64(image, 64, (ulong)SpareCluster);
        image.AsSpan(SpareCluster, 64).Clear();
    }

    private static void U32(byte[] image, int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(image.AsSpan(at), value);

    private static void U64(byte[] image, int at, ulong value) => BinaryPrimitives.WriteUInt64BigEndian(image.AsSpan(at), value);
}
