using Colo.Blocks;
using Colo.Testing;
using Microsoft.Extensions.Time.Testing;

namespace Colo.Replication.Tests.Kit;

/// <summary>A primary and a secondary of one volume, with all that lies under and between them in memory.</summary>
public sealed class Pair : IAsyncDisposable
{
    public const string PrimaryNode = "node-a";
    public const string SecondaryNode = "node-b";

    public static readonly VolumeUid Uid = new("volume-1");
    public static readonly Term One = new(1);

    private Pair(long lengthBytes)
    {
        PrimaryDisk = new MemoryDisk(lengthBytes);
        SecondaryDisk = new MemoryDisk(lengthBytes);
        Epochs = new MemoryEpochStore(lengthBytes);
    }

    public FakeTimeProvider Time { get; } = new(DateTimeOffset.UnixEpoch);

    public MemoryArbiter Arbiter { get; private init; } =
        new(new VolumeRecord(Uid, One, PrimaryNode, string.Empty, SecondaryState.None, 1));

    public MemoryDisk PrimaryDisk { get; }

    public MemoryDisk SecondaryDisk { get; }

    public MemoryEpochStore Epochs { get; }

    public MemoryTermStore PrimaryTerms { get; } = new();

    public MemoryTermStore SecondaryTerms { get; } = new();

    public Recorder PrimaryNews { get; } = new();

    public Recorder SecondaryNews { get; } = new();

    public PrimaryReplica Primary { get; private set; } = null!;

    public SecondaryReplica Secondary { get; private set; } = null!;

    public LoopLink Link { get; private set; } = null!;

    /// <summary>Both disks zero, nothing started; the primary serves alone.</summary>
    public static async Task<Pair> OpenAsync(
        long lengthBytes = 1 << 20, BufferPolicy? buffer = null, VolumeRecord? record = null, Action<Pair>? prepare = null)
    {
        Pair pair = new(lengthBytes)
        {
            Arbiter = new(record ?? new VolumeRecord(Uid, One, PrimaryNode, string.Empty, SecondaryState.None, 1)),
        };
        prepare?.Invoke(pair);
        pair.Secondary = await pair.OpenSecondaryAsync(pair.Epochs, buffer);
        pair.Primary = await pair.OpenPrimaryAsync();
        await pair.Primary.Confirmed;
        return pair;
    }

    /// <summary>Both started and in sync. Both disks hold <paramref name="fill"/>.</summary>
    public static async Task<Pair> RunningAsync(
        long lengthBytes = 1 << 20,
        byte fill = 0,
        BufferPolicy? buffer = null,
        Func<ReplicationTarget, LoopLink>? link = null,
        Action<Pair>? prepare = null)
    {
        Pair pair = await OpenAsync(lengthBytes, buffer, prepare: prepare);
        pair.PrimaryDisk.Content.Fill(fill);
        pair.SecondaryDisk.Content.Fill(fill);
        await pair.Secondary.StartAsync(One, filling: false);
        await pair.Primary.StartAsync(One, pair.NewLink(link), ResyncMode.None);
        return pair;
    }

    public LoopLink NewLink(Func<ReplicationTarget, LoopLink>? make = null)
    {
        ReplicationTarget target = Secondary.OpenTarget(Secondary.Term);
        return Link = make?.Invoke(target) ?? new LoopLink(target, SecondaryNode);
    }

    public async Task<PrimaryReplica> OpenPrimaryAsync() => await PrimaryReplica.OpenAsync(
        new PrimaryReplicaOptions { Uid = Uid, Node = PrimaryNode, Term = One, ResyncChunkBytes = 64 << 10 },
        PrimaryDisk,
        Arbiter,
        PrimaryTerms,
        Time,
        PrimaryNews);

    public async Task<SecondaryReplica> OpenSecondaryAsync(IEpochStore epochs, BufferPolicy? buffer = null, Term? term = null) =>
        await SecondaryReplica.OpenAsync(
            new SecondaryReplicaOptions { Uid = Uid, Buffer = buffer ?? new BufferPolicy(1 << 30, BufferFullPolicy.Checkpoint) },
            SecondaryDisk,
            epochs,
            SecondaryTerms,
            term ?? One,
            Time,
            SecondaryNews);

    /// <summary>Lets fake time pass until <paramref name="task"/> ends: a retry may need several timers one after another.</summary>
    public async Task PassTimeUntil(Func<bool> condition, string what) => await Eventually.TrueAsync(
        () =>
        {
            Time.Advance(TimeSpan.FromSeconds(1));
            return condition();
        },
        what);

    public async ValueTask DisposeAsync()
    {
        await Primary.DisposeAsync();
        await Secondary.DisposeAsync();
    }
}
