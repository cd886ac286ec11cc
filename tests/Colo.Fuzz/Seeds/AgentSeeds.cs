using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Fuzz.Targets;
using Colo.Replication;
using Colo.Testing;
using Google.Protobuf;

namespace Colo.Fuzz.Seeds;

/// <summary>Files as an agent writes them, and requests as a control plane sends them: one of each kind, in front the byte that chooses its
/// door.</summary>
internal static class AgentSeeds
{
    private const string Uid = "v";

    private static readonly VolumeRef Volume = new() { Uid = Uid, Term = 3 };

    private static readonly Peer Secondary = new() { Node = "b", ReplicationAddress = "127.0.0.1:9541", ExportName = "v@3", QmpAddress = "unix:/run/qmp.sock" };

    public static async Task MakeAsync(string folder, TempDirectory work)
    {
        string replica = Directory.CreateDirectory(work.File(Uid)).FullName;
        await StatesAsync(folder, replica);
        await EpochsAsync(folder, replica);
        State(folder, "identity", 4, Convert.FromHexString("0123456789abcdef0123456789abcdef").Select(b => b.ToString("x2", System.Globalization.CultureInfo.InvariantCulture))
            .SelectMany(s => s.Select(c => (byte)c)).ToArray());
        await LineageAsync(folder, replica);
        VolumeRecordFile record = new(replica, Uid);
        record.TryCreate(new(Uid, 3, "a", "b", AgentApi.SecondaryState.InSync));
        State(folder, "record", 5, await File.ReadAllBytesAsync(record.Path));
        Requests(folder);
    }

    private static async Task StatesAsync(string folder, string replica)
    {
        ReplicaSpec spec = new(
            Uid, 3, AgentApi.Role.Primary, "disk", "vms", 1 << 20, "default",
            new(AgentApi.BufferMedium.Memory, 1 << 20, AgentApi.BufferFullPolicy.Checkpoint), AgentApi.RecoveryPoint.LatestWrite,
            new("b", "127.0.0.1:9541", "", ""), "/run/records", 0, "", GuestTcp: false);
        StoredReplica known = new() { Version = StoredReplica.CurrentVersion, Spec = spec, HighestTerm = 3, Generation = "g", DiskCreated = true };
        string path = Path.Combine(replica, ReplicaPaths.StateFileName);
        foreach ((string name, StoredReplica state) in new[]
        {
            ("primary", known),
            ("secondary", known with { Spec = spec with { Role = AgentApi.Role.Secondary, Peer = null, PlainExportName = "plain" }, Started = true, Epoch = 7 }),
        })
        {
            new StoredReplicaFile(path).Write(state);
            byte[] file = await File.ReadAllBytesAsync(path);
            State(folder, name, 0, file);
            State(folder, name + "-content", 1, file[file.AsSpan().IndexOf((byte)'{')..]);
            File.Delete(path);
        }
    }

    private static async Task LineageAsync(string folder, string replica)
    {
        string map = Path.Combine(replica, "lineage.map");
        await using (LineageStore store = await LineageStore.OpenAsync(replica, 1 << 20))
        {
            await store.WriteAsync(LineageRecord.Empty);
            await store.WriteActivityAsync([0, 1]);
        }

        byte[] state = await File.ReadAllBytesAsync(Path.Combine(replica, "lineage.state"));
        State(folder, "lineage-content", 6, state[state.AsSpan().IndexOf((byte)'{')..]);
        State(folder, "lineage-map", 7, (await File.ReadAllBytesAsync(map))[..(20 << 10)]);
    }

    private static async Task EpochsAsync(string folder, string replica)
    {
        EpochStore epochs = new(replica, Path.Combine(replica, "disk.raw"), 1 << 20);
        foreach (EpochPhase phase in Enum.GetValues<EpochPhase>().Where(p => p != EpochPhase.None))
        {
            await epochs.CommitAsync(new EpochRecord(7, phase));
            byte[] file = await File.ReadAllBytesAsync(Path.Combine(replica, "epoch"));
            State(folder, $"epoch-{phase}", 2, file);
            State(folder, $"epoch-{phase}-content", 3, [.. System.Text.Encoding.ASCII.GetBytes($"7 {phase} 00000000-0000-0000-0000-000000000000\n")]);
        }
    }

    private static void Requests(string folder)
    {
        IMessage[] messages =
        [
            new PrepareRequest
            {
                Volume = Volume, Name = "disk", Namespace = "vms", Role = AgentApi.Role.Primary, SizeBytes = 1 << 20, Pool = "fast",
                Buffer = new() { Medium = AgentApi.BufferMedium.Disk, LimitBytes = 1 << 21, OnFull = AgentApi.BufferFullPolicy.Detach },
                RecoveryPoint = AgentApi.RecoveryPoint.LastCheckpoint, Peer = Secondary, Create = CreatePolicy.MustExist,
                Arbiter = new() { Directory = "/run/records" }, Resync = new() { MaxBytesPerSecond = 1 << 20 }, PlainExportName = "plain", GuestTcp = true,
            },
            new StartRequest { Volume = Volume, Peer = Secondary, Resync = AgentApi.ResyncMode.Full },
            new CheckpointRequest { Volume = Volume },
            new GetErrorRequest { Volume = Volume },
            new StopRequest { Volume = Volume, Failover = true, RecoveryPoint = AgentApi.RecoveryPoint.LatestWrite },
            new AttachSecondaryRequest { Volume = Volume, Peer = Secondary, Resync = AgentApi.ResyncMode.None, Wait = true },
            new DetachSecondaryRequest { Volume = Volume },
            new ReleaseRequest { Volume = Volume },
            new DeleteRequest { Volume = Volume },
            new StatusRequest { Uid = Uid },
            new WatchRequest { Uid = Uid },
        ];
        for (int call = 0; call < messages.Length; call++)
        {
            SeedMaker.Save(
                folder, AgentRequestTarget.TargetName, $"{call:00}-{messages[call].Descriptor.Name}.bin", [(byte)call, .. messages[call].ToByteArray()]);
        }
    }

    private static void State(string folder, string name, byte door, byte[] content) =>
        SeedMaker.Save(folder, AgentStateTarget.TargetName, name + ".bin", [door, .. content]);
}
