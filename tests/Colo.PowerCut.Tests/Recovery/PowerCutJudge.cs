using System.Text.RegularExpressions;
using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Testing;

namespace Colo.PowerCut.Tests;

/// <summary>Where a recording is cut, and what becomes of what was not durable.</summary>
public sealed record Cut(string Node, int Step, CutKind Kind, int Seed);

/// <summary>
/// Recovers a node after a cut with the agent's own code, and says what is wrong: content that was flushed and is gone, bytes that nobody
/// wrote, a term that went back, a state file that is neither the old nor the new one, a view that cannot be right.
/// </summary>
public sealed partial class PowerCutJudge(RecordedRun run, Machine machine)
{
    private const int Leaks = 3;

    /// <summary>How pairs were brought in sync, and how often.</summary>
    public Dictionary<string, int> Resyncs { get; } = new(StringComparer.Ordinal);

    /// <summary>Pairs of overlays that qemu-img checked, and read as the last checkpoint where that is known.</summary>
    public int OverlaysChecked { get; private set; }

    /// <summary>Null where nothing is.</summary>
    public async Task<string?> FaultAsync(Cut cut)
    {
        (long certain, long possible) = await RestoreAsync(cut, [cut.Node]);
        await using RecoveredNode node = await RecoveredNode.StartAsync(run.Root, cut.Node);
        if (node.Status is not { } status)
        {
            return run.Prepared[cut.Node] <= certain ? "its replica is gone" : null;
        }

        string? fault = status.Role == Role.Primary
            ? await PrimaryFaultAsync(cut, node, certain, possible)
            : await SecondaryFaultAsync(cut, node, certain, possible);
        return fault is null ? null : $"{cut}: {fault}\n{status}\n{node.Log}";
    }

    /// <summary>The processes died and the machine did not: the pair that counts is sound, and is the last checkpoint over the disk.</summary>
    public async Task<string?> OverlayFaultAsync(Cut cut, BufferMedium medium)
    {
        await RestoreAsync(cut, ["b"]);
        string directory = medium == BufferMedium.Disk
            ? Path.Combine(Path.GetDirectoryName(machine.DiskOf("b"))!, "buffer")
            : Path.Combine(run.Root, "b", "mem", "b", PairWorkload.Uid);
        Replication.EpochRecord record = new EpochStore(directory, machine.DiskOf("b"), run.SizeBytes, TracedPair.RecordedBoot).Read();
        if (record.Phase is not (Replication.EpochPhase.Replicating or Replication.EpochPhase.Committing))
        {
            return null;
        }

        string active = Path.Combine(directory, $"active-{record.Epoch}.qcow2");
        foreach (string image in new[] { Path.Combine(directory, $"hidden-{record.Epoch}.qcow2"), active })
        {
            ToolResult check = await Tool.RunAsync("qemu-img", "check", image);
            if (check.ExitCode is not (0 or Leaks))
            {
                return $"{cut}: {image}: qemu-img check ended with {check.ExitCode}\n{check.Output}{check.Error}";
            }
        }

        OverlaysChecked++;
        string flat = Path.Combine(run.Root, "flat.raw");
        (await Tool.RunAsync("qemu-img", "convert", "-O", "raw", active, flat)).EnsureSuccess();
        TakenCheckpoint? checkpoint = run.Checkpoints.Find(c => c.ClosedEpoch == record.Epoch - 1);
        string? fault = checkpoint is null || record.Phase == Replication.EpochPhase.Committing
            ? null
            : run.Journal.FaultAt(await File.ReadAllBytesAsync(flat), checkpoint.LastChange);
        return fault is null ? null : $"{cut}: {active} is not the checkpoint that ended with change {checkpoint!.LastChange}: {fault}";
    }

    /// <summary>Both machines went down and came back: brought in sync again, both disks are the same, and hold what they must.</summary>
    /// <param name="cut">Of both.</param>
    /// <param name="resync">Full, or what their lineages say.</param>
    public async Task<string?> PairFaultAsync(Cut cut, ResyncMode resync)
    {
        (long certain, long possible) = await RestoreAsync(cut, ["a", "b"]);
        await using RecoveredNode a = await RecoveredNode.StartAsync(run.Root, "a", hasPeer: true);
        await using RecoveredNode b = await RecoveredNode.StartAsync(run.Root, "b", hasPeer: true);
        await a.WhenSettledAsync();
        VolumeRef volume = new() { Uid = PairWorkload.Uid, Term = 1 };
        await b.Calls.StartAsync(volume, null, resync, CancellationToken.None);
        await a.Calls.AttachSecondaryAsync(volume, new("b", b.ReplicationAddress, "", ""), resync, wait: true, CancellationToken.None);
        Match mode = Resynced().Match(a.Log);
        Resyncs[mode.Groups["mode"].Value] = Resyncs.GetValueOrDefault(mode.Groups["mode"].Value) + 1;
        string? fault = await a.ReadAsync(run.SizeBytes) is { } disk ? run.Journal.Fault(disk, certain, possible) : "the primary refuses to be read";
        ToolResult compare = await Tool.RunAsync("qemu-img", "compare", "--image-opts", Unlocked("a"), Unlocked("b"));
        return fault is null && compare.ExitCode == 0 ? null : $"{cut}: {fault}\n{compare.Output}{compare.Error}\n{a.Log}\n{b.Log}";
    }

    private async Task<(long Certain, long Possible)> RestoreAsync(Cut cut, string[] nodes)
    {
        Random random = new(cut.Seed);
        CrashImage image = Image(cut.Kind);

        // Of two nodes now and then only one lost what it had not flushed.
        int spared = random.Next(nodes.Length == 1 ? 1 : 3) - 1;
        Dictionary<string, CrashImage> images = nodes
            .Select((node, i) => (node, i))
            .ToDictionary(n => n.node, n => n.i == spared ? Image(CutKind.EverythingMore) : image, StringComparer.Ordinal);

        // The record is kept by another machine, or, now and then, by this one.
        CrashImage records = random.Next(4) == 0 ? image : Image(CutKind.ProcessDeath);
        long certain = run.TimeOf(cut.Step);
        await machine.RestoreAsync(images, records, certain, withMemory: cut.Kind == CutKind.ProcessDeath);
        return (certain, cut.Step + 1 < run.Log.StepTimes.Count ? run.TimeOf(cut.Step + 1) : long.MaxValue);

        CrashImage Image(CutKind kind) => new(run.Files, cut.Step, kind, random);
    }

    private async Task<string?> PrimaryFaultAsync(Cut cut, RecoveredNode node, long certain, long possible)
    {
        VolumeStatus status = await node.WhenSettledAsync();
        bool wasPromoted = cut.Node == "b";
        if (status.State == ReplicaState.Faulted)
        {
            // The buffer of a commit that is not over is lost with the machine: the disk is a mixture, and nobody may read it.
            bool isMixture = wasPromoted && run.CommitsBuffer && certain < run.Committed && status.Fault.Contains("mixture", StringComparison.Ordinal);
            return isMixture ? null : "it is faulted";
        }

        if (status.State == ReplicaState.Fenced)
        {
            bool isSuperseded = !wasPromoted && run.Records[^1].Acknowledged <= certain;
            return isSuperseded && await node.ReadAsync(run.SizeBytes) is null ? null : "it is fenced";
        }

        if (await node.ReadAsync(run.SizeBytes) is not { } disk)
        {
            return "it refuses to be read";
        }

        return wasPromoted && run.CommitsBuffer
            ? run.Journal.FaultAfterFailover(disk, run.Checkpoints[^1].LastChange, run.LastOfOldPrimary, certain, possible)
            : run.Journal.Fault(disk, certain, possible);
    }

    private async Task<string?> SecondaryFaultAsync(Cut cut, RecoveredNode node, long certain, long possible)
    {
        VolumeStatus status = node.Status!;
        if (status.State is not (ReplicaState.Prepared or ReplicaState.Running))
        {
            return $"it is {status.State}";
        }

        if (run.PromotionAnswered <= certain)
        {
            return "its promotion is forgotten: its term went back";
        }

        if (run.Started <= certain && !node.Log.Contains("so are the buffers", StringComparison.Ordinal))
        {
            return "it does not say that its buffers are lost";
        }

        if (await node.ReadViewAsync(run.SizeBytes) is not null)
        {
            return "it shows a last checkpoint, whose buffers were lost with the machine";
        }

        string? fault = run.Journal.Fault(await File.ReadAllBytesAsync(machine.DiskOf(cut.Node)), certain, possible);
        return fault is not null && run.CommitsBuffer && run.PromotionAsked <= possible ? null : fault;
    }

    private string Unlocked(string node) => $"driver=raw,file.driver=file,file.locking=off,file.filename={machine.DiskOf(node)}";

    [GeneratedRegex(@"resync (?<mode>\w+) of \d+ bytes ended", RegexOptions.ExplicitCapture | RegexOptions.RightToLeft, 1000)]
    private static partial Regex Resynced();
}
