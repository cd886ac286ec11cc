using Colo.AgentApi;
using Colo.Blocks;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.PowerCut.Tests;

/// <summary>
/// The life of one volume that is recorded: made on two nodes, written by a guest in rounds that end with a checkpoint, then written on
/// without one until the primary is killed; the secondary is promoted, written, and ended in order.
/// </summary>
public sealed class PairWorkload(RecordedRun run, TracedPair pair, BufferMedium medium, RecoveryPoint recoveryPoint, int seed)
{
    public const string Uid = "cut";

    private const int Rounds = 3;
    private const int ChangesARound = 24;

    private readonly GuestWriters writers = new(run, seed);

    /// <summary>To the end as its summary tells it.</summary>
    public async Task RunAsync()
    {
        await MakeAsync();
        await using (NbdClientDevice guest = await NbdClient.ConnectAsync(pair.GuestUri("a", Uid)))
        {
            for (int round = 0; round < Rounds; round++)
            {
                await writers.WriteAsync(guest, round, ChangesARound);
                CheckpointReply reply = await pair.A.CheckpointAsync(new CheckpointRequest { Volume = At(1) });
                run.Checkpoints.Add(new(reply.Sequence, run.Journal.Changes));
            }

            Task writing = writers.WriteAsync(guest, Rounds, ChangesARound * 4);
            await writers.WhenUnderWayAsync(ChangesARound);
            await pair.KillAsync("a");
            await writing;
        }

        run.LastOfOldPrimary = run.Journal.Changes;
        await PromoteAsync();
        await using (NbdClientDevice guest = await NbdClient.ConnectAsync(pair.GuestUri("b", Uid)))
        {
            await writers.WriteAsync(guest, Rounds + 1, ChangesARound);
            await Eventually.TrueAsync(
                async () => (await pair.B.StatusAsync(new StatusRequest { Uid = Uid })).Volumes[0].State != ReplicaState.FailingOver, "committed");
            run.Committed = GuestJournal.Now;
            await writers.WriteAsync(guest, Rounds + 2, ChangesARound);
        }
    }

    /// <summary>
    /// Otherwise: the secondary dies, the primary writes on alone, is ended in order and started again, and killed. Each part of it writes
    /// to extents of its own, but for one, so that what a part noted is needed after the next.
    /// </summary>
    public async Task RunOutageAsync()
    {
        await MakeAsync();
        long part = run.Journal.Sectors / 3;
        await using (NbdClientDevice guest = await NbdClient.ConnectAsync(pair.GuestUri("a", Uid)))
        {
            Task writing = writers.WriteAsync(guest, 0, ChangesARound * 2, 0, part);
            await writers.WhenUnderWayAsync(ChangesARound);
            await pair.KillAsync("b");
            await writing;
            await writers.WriteAsync(guest, 1, ChangesARound, part - (part / 2), part);
        }

        await pair.RestartAsync("a");
        await using (NbdClientDevice guest = await NbdClient.ConnectAsync(pair.GuestUri("a", Uid)))
        {
            Task writing = writers.WriteAsync(guest, 2, ChangesARound * 4, part * 2, part);
            await writers.WhenUnderWayAsync(ChangesARound);
            await pair.KillAsync("a");
            await writing;
        }
    }

    private async Task MakeAsync()
    {
        Recorded(new VolumeRecordFile(pair.Records, Uid).TryCreate(new(Uid, 1, "a", "", SecondaryState.None)));
        string replication = (await pair.B.StatusAsync(new StatusRequest())).Node.ReplicationAddress;
        await pair.B.PrepareAsync(Request(Role.Secondary));
        run.Prepared["b"] = GuestJournal.Now;
        await pair.A.PrepareAsync(Request(Role.Primary));
        run.Prepared["a"] = GuestJournal.Now;
        await pair.B.StartAsync(new StartRequest { Volume = At(1), Resync = ResyncMode.None });
        await pair.A.StartAsync(new StartRequest
        {
            Volume = At(1), Resync = ResyncMode.None, Peer = new Peer { Node = "b", ReplicationAddress = replication },
        });
        run.Started = GuestJournal.Now;
    }

    private async Task PromoteAsync()
    {
        VolumeRecordFile file = new(pair.Records, Uid);
        VolumeRecord current = file.Read()!;
        VolumeRecord next = current with { Term = 2, Primary = "b", Secondary = "a", SecondaryState = SecondaryState.Stale };
        Recorded(file.TryReplace(current, next));
        run.PromotionAsked = GuestJournal.Now;
        await pair.B.StopAsync(new StopRequest { Volume = At(2), Failover = true, RecoveryPoint = recoveryPoint });
        run.PromotionAnswered = GuestJournal.Now;
    }

    private void Recorded(RecordChange change)
    {
        change.Done.ShouldBeTrue();
        run.Records.Add(new(GuestJournal.Now, change.Current!));
    }

    private PrepareRequest Request(Role role) => new()
    {
        Volume = At(1),
        Name = Uid,
        Namespace = "test",
        Role = role,
        SizeBytes = run.SizeBytes,
        RecoveryPoint = recoveryPoint,
        Buffer = new AgentApi.Buffer { Medium = medium },
    };

    private static VolumeRef At(long term) => new() { Uid = Uid, Term = term };
}
