using Colo.AgentApi;
using Colo.Testing;
using Colo.Testing.Disks;

namespace Colo.Agent.Tests;

/// <summary>Two agents, a and b, one arbiter directory, and the steps of a control plane in short.</summary>
public sealed class AgentPair : IAsyncDisposable
{
    public const long SizeBytes = 16 << 20;

    private readonly TempDirectory directory = new(onTmpfs: true);

    private AgentPair()
    {
    }

    public AgentUnderTest A { get; private set; } = null!;

    public AgentUnderTest B { get; private set; } = null!;

    /// <summary>Below its pool, where it was started so.</summary>
    public FaultyDisk? DiskOfA { get; private set; }

    public FaultyDisk? DiskOfB { get; private set; }

    public string ArbiterDirectory => directory.File("arbiter");

    public static Task<AgentPair> StartAsync(params string[] extra) => StartAsync(new AgentPair(), extra);

    /// <summary>On disks that can fail.</summary>
    public static async Task<AgentPair> StartOnFaultyDisksAsync(params string[] extra)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root mounts");
        AgentPair pair = new();
        pair.DiskOfA = await FaultyDisk.CreateAsync(pair.directory.File("a"), "colo-agent-test", canFail: true);
        pair.DiskOfB = await FaultyDisk.CreateAsync(pair.directory.File("b"), "colo-agent-test", canFail: true);
        return await StartAsync(pair, extra);
    }

    private static async Task<AgentPair> StartAsync(AgentPair pair, string[] extra)
    {
        Task<AgentUnderTest> a = AgentUnderTest.StartAsync("a", pair.directory.Path, pair.ArbiterDirectory, extra);
        Task<AgentUnderTest> b = AgentUnderTest.StartAsync("b", pair.directory.Path, pair.ArbiterDirectory, extra);
        (pair.A, pair.B) = await AgentUnderTest.BothAsync(a, b);
        return pair;
    }

    public VolumeRecord Record(string uid) => new VolumeRecordFile(ArbiterDirectory, uid).Read().ShouldNotBeNull();

    public void CreateRecord(string uid, SecondaryState state = SecondaryState.None) =>
        new VolumeRecordFile(ArbiterDirectory, uid)
            .TryCreate(new(uid, 1, "a", state == SecondaryState.None ? "" : "b", state)).Done.ShouldBeTrue();

    /// <summary>A volume with a as primary and b as secondary, both new, in sync.</summary>
    public async Task<string> CreateAsync(string uid, RecoveryPoint recoveryPoint = RecoveryPoint.LatestWrite, long bufferBytes = 0)
    {
        CreateRecord(uid);
        await B.Client.PrepareAsync(Request(uid, 1, Role.Secondary, recoveryPoint, bufferBytes));
        await A.Client.PrepareAsync(Request(uid, 1, Role.Primary, recoveryPoint, bufferBytes));
        await B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1), Resync = ResyncMode.None });
        await A.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1), Resync = ResyncMode.None, Peer = PeerB });
        Record(uid).SecondaryState.ShouldBe(SecondaryState.InSync);
        return uid;
    }

    public Peer PeerB => new() { Node = "b", ReplicationAddress = B.ReplicationAddress };

    public Peer PeerA => new() { Node = "a", ReplicationAddress = A.ReplicationAddress };

    public static VolumeRef Ref(string uid, long term) => new() { Uid = uid, Term = term };

    public static PrepareRequest Request(
        string uid, long term, Role role, RecoveryPoint recoveryPoint = RecoveryPoint.LatestWrite, long bufferBytes = 0) => new()
    {
        Volume = Ref(uid, term),
        Name = uid,
        Namespace = "test",
        Role = role,
        SizeBytes = SizeBytes,
        RecoveryPoint = recoveryPoint,
        Buffer = new AgentApi.Buffer { LimitBytes = bufferBytes },
    };

    /// <summary>The record's swap that a control plane makes before it promotes b.</summary>
    public long RecordTakeover(string uid)
    {
        VolumeRecord current = Record(uid);
        VolumeRecord next = current with
        {
            Term = current.Term + 1, Primary = current.Secondary, Secondary = current.Primary, SecondaryState = SecondaryState.Stale,
        };
        new VolumeRecordFile(ArbiterDirectory, uid).TryReplace(current, next).Done.ShouldBeTrue();
        return next.Term;
    }

    public async ValueTask DisposeAsync()
    {
        await A.DisposeAsync();
        await B.DisposeAsync();
        foreach (FaultyDisk? disk in new[] { DiskOfA, DiskOfB })
        {
            await (disk?.DisposeAsync() ?? ValueTask.CompletedTask);
        }

        directory.Dispose();
    }
}

/// <summary>What a guest does, by clients that nobody here wrote.</summary>
public static class Guest
{
    public static Task<ToolResult> IoAsync(string uri, params string[] commands) =>
        Tool.RunAsync("qemu-io", ["-f", "raw", .. commands.SelectMany(c => new[] { "-c", c }), uri]);

    public static async Task WriteAsync(string uri, byte pattern, string offset, string length) =>
        (await IoAsync(uri, $"write -P {pattern} {offset} {length}", "flush")).EnsureSuccess().ShouldContain("wrote ");

    /// <summary>qemu-io says "Pattern verification failed" and ends with 1 where a byte differs.</summary>
    public static async Task ExpectAsync(string uri, byte pattern, string offset, string length)
    {
        // -r: opened for writing, qemu-io would flush when it closes, and a flush is held wherever a write is.
        ToolResult read = await Tool.RunAsync("qemu-io", "-r", "-f", "raw", "-c", $"read -P {pattern} {offset} {length}", uri);
        read.EnsureSuccess().ShouldNotContain("verification failed");
    }

    /// <summary>Of a disk file that an agent has open and locked; the caller knows that nothing is being written.</summary>
    public static async Task ExpectDiskAsync(string path, byte pattern, string offset, string length)
    {
        ToolResult read = await Tool.RunAsync("qemu-io", "-r", "--image-opts", "-c", $"read -P {pattern} {offset} {length}", Unlocked(path));
        read.EnsureSuccess().ShouldNotContain("verification failed");
    }

    public static async Task ExpectEqualAsync(string left, string right) =>
        (await Tool.RunAsync("qemu-img", "compare", "--image-opts", Unlocked(left), Unlocked(right))).EnsureSuccess().ShouldContain("identical");

    private static string Unlocked(string path) => $"driver=raw,file.driver=file,file.locking=off,file.filename={path}";
}
