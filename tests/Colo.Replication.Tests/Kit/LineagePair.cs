using Colo.Blocks;
using Colo.Testing;

namespace Colo.Replication.Tests.Kit;

/// <summary>
/// Two nodes of one volume with their lineages, either of which may be primary; processes and machines of both can die at any time. Disks
/// survive; the caller says what a machine's death did to them.
/// </summary>
public sealed class LineagePair : IAsyncDisposable
{
    public const long LengthBytes = 64 << 20;

    public static readonly VolumeUid Uid = new("volume-1");

    private readonly List<IAsyncDisposable> owned = [];

    public MemoryArbiter Arbiter { get; } = new(new VolumeRecord(Uid, new(1), "a", string.Empty, SecondaryState.None, 1));

    public Node A { get; } = new("a");

    public Node B { get; } = new("b");

    public LoopLink Link { get; private set; } = null!;

    public sealed class Node(string name)
    {
        public string Name => name;

        public ForgetfulDisk Device { get; } = new(LengthBytes);

        public MemoryDisk Disk => Device.Inner;

        public MemoryLineageStore Store { get; set; } = new();

        public MemoryTermStore Terms { get; } = new();

        public MemoryEpochStore Epochs { get; set; } = new(LengthBytes);

        public string Life { get; set; } = "first";

        public ReplicaLineage Lineage { get; set; } = null!;

        public PrimaryReplica Primary { get; set; } = null!;

        public SecondaryReplica Secondary { get; set; } = null!;
    }

    /// <summary>Both new, equal, a replicates to b.</summary>
    public static async Task<LineagePair> RunningAsync(Action<LineagePair>? prepare = null)
    {
        LineagePair pair = new();
        prepare?.Invoke(pair);
        await pair.OpenSecondaryAsync(pair.B, filling: false);
        await pair.OpenPrimaryAsync(pair.A);
        await pair.AttachAsync(pair.A, pair.B, ResyncMode.None);
        return pair;
    }

    public async Task<PrimaryReplica> OpenPrimaryAsync(Node node)
    {
        node.Lineage ??= await ReplicaLineage.OpenAsync(node.Store, LengthBytes, node.Life);
        node.Primary = await PrimaryReplica.OpenAsync(
            new PrimaryReplicaOptions { Uid = Uid, Node = node.Name, Term = Arbiter.Record.Term, ResyncChunkBytes = 64 << 10 },
            node.Device,
            Arbiter,
            node.Terms,
            TimeProvider.System,
            lineage: node.Lineage);
        owned.Add(node.Primary);
        await node.Primary.Confirmed;
        return node.Primary;
    }

    public async Task<SecondaryReplica> OpenSecondaryAsync(Node node, bool filling = true, BufferPolicy? buffer = null, bool starts = true)
    {
        node.Lineage ??= await ReplicaLineage.OpenAsync(node.Store, LengthBytes, node.Life);
        node.Secondary = await SecondaryReplica.OpenAsync(
            new SecondaryReplicaOptions { Uid = Uid, Buffer = buffer ?? new BufferPolicy(1 << 30, BufferFullPolicy.Checkpoint) },
            node.Device,
            node.Epochs,
            node.Terms,
            Arbiter.Record.Term,
            TimeProvider.System,
            lineage: node.Lineage);
        owned.Add(node.Secondary);
        if (starts)
        {
            await node.Secondary.StartAsync(Arbiter.Record.Term, filling);
        }

        return node.Secondary;
    }

    public LoopLink NewLink(Node to) =>
        Link = new LoopLink(to.Secondary.OpenTarget(Arbiter.Record.Term), to.Name) { Peer = to.Secondary };

    public async Task AttachAsync(Node from, Node to, ResyncMode mode, Action<LoopLink>? before = null)
    {
        LoopLink link = NewLink(to);
        before?.Invoke(link);
        await from.Primary.AttachSecondaryAsync(Arbiter.Record.Term, link, mode);
    }

    /// <summary>Attaches and waits until it is in sync; the bytes that were sent for it.</summary>
    public async Task<long> SyncAsync(Node from, Node to, ResyncMode mode = ResyncMode.Auto)
    {
        await AttachAsync(from, to, mode);
        (await from.Primary.ResyncCompletion).ShouldBeTrue(from.Primary.ResyncProgress?.Failure);
        Arbiter.Record.SecondaryState.ShouldBe(SecondaryState.InSync);
        return Link.SentBytes;
    }

    public void LoseLink() => Link.Break("cut");

    public async Task AloneAsync(Node node) => await Eventually.TrueAsync(() => node.Primary.ServeState == ServeState.Alone, "alone");

    /// <summary>SIGKILL: what was written to the lineage's files is there, and nothing is closed in order.</summary>
    public async Task KillAsync(Node node, bool withMachine = false)
    {
        node.Store = withMachine ? node.Store.AfterPowerLoss() : node.Store.AfterProcessDeath();
        node.Epochs = node.Epochs.Reopen(withPairs: !withMachine);
        node.Life = withMachine ? Guid.NewGuid().ToString("N") : node.Life;
        node.Lineage = null!;
        await EndAsync(node);
    }

    public async Task CloseAsync(Node node)
    {
        await EndAsync(node);
        await node.Lineage.CloseCleanAsync();
        node.Lineage = null!;
        node.Epochs = node.Epochs.Reopen();
    }

    /// <summary>The operator's failover, and the promotion.</summary>
    public async Task<PrimaryReplica> PromoteAsync(Node node, RecoveryPoint point = RecoveryPoint.LatestWrite, bool forced = false)
    {
        if (forced)
        {
            Arbiter.ForcePromotion();
        }
        else
        {
            Arbiter.TryPromoteSecondary().ShouldBeTrue();
        }

        await node.Secondary.StopAsync(Arbiter.Record.Term, failover: true, point);
        (await node.Secondary.CommitCompletion).ShouldBeTrue();
        return await OpenPrimaryAsync(node);
    }

    public void ShouldBeEqual() => B.Disk.Content.ShouldEqual(A.Disk.Content, "b against a");

    public async ValueTask DisposeAsync()
    {
        for (int i = owned.Count - 1; i >= 0; i--)
        {
            await owned[i].DisposeAsync();
        }
    }

    private async Task EndAsync(Node node)
    {
        foreach (IAsyncDisposable replica in new IAsyncDisposable?[] { node.Primary, node.Secondary }.OfType<IAsyncDisposable>())
        {
            owned.Remove(replica);
            await replica.DisposeAsync();
        }

        (node.Primary, node.Secondary) = (null!, null!);
    }
}
