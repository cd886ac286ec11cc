using Colo.Agent.Cluster;
using Colo.Agent.Options;
using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Linux;
using Colo.Replication;
using VolumeRecord = Colo.AgentApi.VolumeRecord;

namespace Colo.Fuzz.Targets;

/// <summary>
/// What an agent reads at its start, from a disk that may be anybody's: a replica's state and epochs, the node's identity, a record. Each is
/// refused by the exception that its reader promises, or gives something that adoption can work with and that is read back as written. An
/// input's first byte chooses the file; state and epochs also come with a good checksum around, or nothing behind it would be reached.
/// </summary>
internal sealed class AgentStateTarget : IFuzzTarget
{
    public const string TargetName = "agent-state";

    /// <summary>The name of the directory is the volume's.</summary>
    private const string Uid = "v";

    private const long DiskBytes = 1 << 20;

    private static readonly string[] Doors = ["state", "sealed-state", "epoch", "sealed-epoch", "identity", "record", "lineage", "lineage-map"];

    private readonly string root = Directory.CreateDirectory($"/dev/shm/colo-fuzz-{Guid.NewGuid():N}").FullName;
    private readonly long[] taken = new long[Doors.Length];

    public string Name => TargetName;

    public string Summary => string.Join(", ", Doors.Select((door, i) => $"{taken[i]} of {door} believed"));

    private string Replica => Path.Combine(root, Uid);

    public void Run(byte[] input)
    {
        int door = input.Length == 0 ? 0 : input[0] % Doors.Length;
        byte[] content = input.Length == 0 ? [] : input[1..];
        Directory.CreateDirectory(Replica);
        try
        {
            Enter(door, content);
            taken[door]++;
        }
        catch (Exception e) when (e is VolumeFaultException or InvalidDataException or StateFileException)
        {
            // Refused in the words that its reader promises.
        }
        finally
        {
            Directory.Delete(Replica, recursive: true);
        }
    }

    public void Dispose() => Directory.Delete(root, recursive: true);

    private void Enter(int door, byte[] content)
    {
        switch (door)
        {
            case 0:
                File.WriteAllBytes(StatePath, content);
                ReadState();
                break;
            case 1:
                new AtomicFile(StatePath, "replica").Write(content);
                ReadState();
                break;
            case 2:
                File.WriteAllBytes(Path.Combine(Replica, "epoch"), content);
                ReadEpoch();
                break;
            case 3:
                new AtomicFile(Path.Combine(Replica, "epoch"), "epoch").Write(content);
                ReadEpoch();
                break;
            case 4:
                File.WriteAllBytes(Path.Combine(Replica, ".agent-id"), content);
                string storage = AgentIdentity.Open(Options).Storage;
                Require(Guid.TryParseExact(storage, "N", out _), $"the identity '{storage}' is none");
                break;
            case 5:
                File.WriteAllBytes(Path.Combine(Replica, Uid + ".json"), content);
                ReadRecord();
                break;
            case 6:
                new AtomicFile(Path.Combine(Replica, "lineage.state"), "lineage").Write(content);
                ReadLineageAsync([]).GetAwaiter().GetResult();
                break;
            default:
                ReadLineageAsync(content).GetAwaiter().GetResult();
                break;
        }
    }

    private string StatePath => Path.Combine(Replica, ReplicaPaths.StateFileName);

    private AgentOptions Options => new() { NodeName = "n", Pools = new() { ["default"] = Replica } };

    private void ReadState()
    {
        StoredReplica? state = new StoredReplicaFile(StatePath).Read();
        if (state is null)
        {
            return;
        }

        Require(state.Spec.Uid == Uid, "the state of another volume is believed");
        Require(state.HighestTerm >= state.Spec.Term && state.Spec.Term >= 1, $"terms {state.HighestTerm} and {state.Spec.Term}");
        state.Spec.Fill(new VolumeStatus());
        Require(state.Spec.PlainExportName is not null && state.Generation is not null && state.PeerGeneration is not null && state.BootId is not null,
            "a part is missing that adoption looks at");
        Require(state.Spec.ArbiterKubernetes || state.Spec.ArbiterDirectory.Length == 0 || Path.IsPathFullyQualified(state.Spec.ArbiterDirectory),
            $"a record looked for in '{state.Spec.ArbiterDirectory}'");

        // What is believed is written at the next change, and must be readable then.
        new StoredReplicaFile(StatePath).Write(state);
        StoredReplica again = new StoredReplicaFile(StatePath).Read() ?? throw new FuzzFailureException("written, and gone");
        Require(again == state, "read back otherwise than written");
    }

    private void ReadEpoch()
    {
        EpochStore store = new(Replica, Path.Combine(Replica, "disk.raw"), 1 << 20);
        Require(store.Read().Epoch >= 0, "an epoch below zero");
    }

    private void ReadRecord()
    {
        VolumeRecordFile file = new(Replica, Uid);
        VolumeRecord record = file.Read() ?? throw new FuzzFailureException("the record is there, and is not seen");
        Require(record.Uid == Uid && record.Term >= 1 && record.Primary.Length > 0, $"a record that none can be: {record}");
        if (record.Term < long.MaxValue && record.Revision < long.MaxValue)
        {
            Require(file.TryReplace(record, record with { Term = record.Term + 1 }).Done, "a record that was believed cannot be replaced");
            Require(file.Read()?.Term == record.Term + 1, "replaced, and read back otherwise");
        }
    }

    /// <summary>Record, activity log and map; what is believed can be written again.</summary>
    private async Task ReadLineageAsync(byte[] map)
    {
        await using (LineageStore made = await LineageStore.OpenAsync(Replica, DiskBytes))
        {
            // The map has its right length now: its content is what is in question.
            if (map.Length > 0)
            {
                await made.WriteAsync(LineageRecord.Empty);
            }
        }

        await using (FileStream file = File.OpenWrite(Path.Combine(Replica, "lineage.map")))
        {
            long room = file.Length;
            await file.WriteAsync(map.AsMemory(0, (int)Math.Min(room, map.Length)));
        }

        await using LineageStore store = await LineageStore.OpenAsync(Replica, DiskBytes);
        LineageRecord record = await store.ReadAsync();
        await store.FindOldCopyAsync(0);
        await store.ReadMapAsync(new byte[DiskBytes / 4096 / 8]);
        await store.WriteAsync(record);
        Require((await store.ReadActivityAsync()).Count <= ActivityLog.Capacity, "more hot extents than there can be");
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new FuzzFailureException(what);
        }
    }
}
