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

    private const int Writers = 3;
    private const int Rounds = 3;
    private const int ChangesARound = 24;
    private const int LargestSectors = 72;

    public async Task RunAsync()
    {
        await MakeAsync();
        await using (NbdClientDevice guest = await NbdClient.ConnectAsync(pair.GuestUri("a", Uid)))
        {
            for (int round = 0; round < Rounds; round++)
            {
                await WriteAsync(guest, round, ChangesARound);
                CheckpointReply reply = await pair.A.CheckpointAsync(new CheckpointRequest { Volume = At(1) });
                run.Checkpoints.Add(new(reply.Sequence, run.Journal.Changes));
            }

            Task writing = WriteAsync(guest, Rounds, ChangesARound * 4);
            await Eventually.TrueAsync(() => run.Journal.Changes > Writers * ChangesARound * (Rounds + 1), "the guest is under way");
            await pair.KillAsync("a");
            await writing;
        }

        run.LastOfOldPrimary = run.Journal.Changes;
        await PromoteAsync();
        await using (NbdClientDevice guest = await NbdClient.ConnectAsync(pair.GuestUri("b", Uid)))
        {
            await WriteAsync(guest, Rounds + 1, ChangesARound);
            await Eventually.TrueAsync(
                async () => (await pair.B.StatusAsync(new StatusRequest { Uid = Uid })).Volumes[0].State != ReplicaState.FailingOver, "committed");
            run.Committed = GuestJournal.Now;
            await WriteAsync(guest, Rounds + 2, ChangesARound);
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

    private Task WriteAsync(NbdClientDevice guest, int round, int changes) =>
        Task.WhenAll(Enumerable.Range(0, Writers).Select(writer => Task.Run(() => WriteAsync(guest, new Random(HashCode.Combine(seed, round, writer)), writer, changes))));

    /// <summary>In sectors of its own, one after another, until the primary is gone.</summary>
    private async Task WriteAsync(NbdClientDevice guest, Random random, int writer, int changes)
    {
        long share = run.Journal.Sectors / Writers;
        for (int i = 0; i < changes; i++)
        {
            int count = 1 + random.Next(random.Next(1, LargestSectors));
            long first = (writer * share) + random.NextInt64(share - count);
            GuestChange change = run.Journal.Ask(first, count, zeroes: random.Next(8) == 0, forceUnitAccess: random.Next(10) == 0);
            RequestFlags flags = change.ForceUnitAccess ? RequestFlags.ForceUnitAccess : RequestFlags.None;
            BlockStatus status = change.Zeroes
                ? await guest.WriteZeroesAsync(new(first * CrashImage.SectorBytes, (long)count * CrashImage.SectorBytes), flags)
                : await guest.WriteAsync(first * CrashImage.SectorBytes, GuestJournal.Payload(change), flags);
            if (status != BlockStatus.Ok)
            {
                return;
            }

            change.Acknowledged = GuestJournal.Now;
            if (random.Next(6) == 0)
            {
                long asked = GuestJournal.Now;
                if (await guest.FlushAsync() != BlockStatus.Ok)
                {
                    return;
                }

                run.Journal.Flushed(asked);
            }
        }
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
