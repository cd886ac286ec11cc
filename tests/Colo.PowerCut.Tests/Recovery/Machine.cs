using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Testing;

namespace Colo.PowerCut.Tests;

/// <summary>
/// Puts what a cut leaves onto the paths where the agents had it, one cut after another. A disk stays the file that it was (its inode, its
/// time of birth): a machine that comes back has its old disks, not copies of them.
/// </summary>
public sealed class Machine : IDisposable
{
    private readonly RecordedRun run;
    private readonly string attic;
    private readonly Dictionary<string, string> disks = new(StringComparer.Ordinal);

    public Machine(RecordedRun run)
    {
        this.run = run;
        attic = Path.Combine(run.Root, "attic");
        Directory.CreateDirectory(attic);
        foreach (string node in new[] { "a", "b" })
        {
            string disk = DiskOf(node);
            disks[disk] = Path.Combine(attic, node);
            File.Move(disk, disks[disk]);
        }
    }

    public string DiskOf(string node) => Path.Combine(run.Root, node, "pool", PairWorkload.Uid, "disk.raw");

    /// <summary>The pools of the nodes, and with <paramref name="withMemory"/> what they had in tmpfs; and the record.</summary>
    public async Task RestoreAsync(
        IReadOnlyDictionary<string, CrashImage> nodes, CrashImage records, long certain, bool withMemory = false)
    {
        Clear();
        foreach ((string node, CrashImage image) in nodes)
        {
            string pool = Path.Combine(run.Root, node, "pool");
            string memory = Path.Combine(run.Root, node, "mem");
            await PutAsync(image, path => IsBelow(path, pool) || (withMemory && IsBelow(path, memory)));
        }

        await PutAsync(records, path => IsBelow(path, TracedPair.RecordsOf(run.Root)));
        PutNewestRecord(certain);

        // Whoever opens them now does so in a boot that begins after all that is there.
        BootId.Began = TimeProvider.System.GetUtcNow();
    }

    public void Dispose() => Clear();

    private async Task PutAsync(CrashImage image, Func<string, bool> isWanted)
    {
        foreach ((string path, Inode file) in image.Entries().Where(e => isWanted(e.Key)))
        {
            if (file.IsDirectory)
            {
                Directory.CreateDirectory(path);
                continue;
            }

            if (disks.TryGetValue(path, out string? kept))
            {
                // A second name: the file outlives what recovery does to the first.
                (await Tool.RunAsync("ln", kept, path)).EnsureSuccess();
            }

            await using (FileStream content = new(path, FileMode.OpenOrCreate, FileAccess.Write))
            {
                content.SetLength(0);
                await content.WriteAsync(image.Content(file));
            }

            if (image.ChangedTime(file) is { } nanoseconds)
            {
                File.SetLastWriteTimeUtc(path, DateTime.UnixEpoch.AddTicks(nanoseconds / TimeSpan.NanosecondsPerTick));
            }
        }
    }

    /// <summary>A control plane outside of the recording wrote the record, too.</summary>
    private void PutNewestRecord(long certain)
    {
        VolumeRecordFile file = new(TracedPair.RecordsOf(run.Root), PairWorkload.Uid);
        VolumeRecord? outside = run.Records.Where(r => r.Acknowledged <= certain).Select(r => r.Record).LastOrDefault();
        if (outside is not null && (file.Read()?.Revision ?? 0) < outside.Revision)
        {
            file.Delete();
            file.TryCreate(outside).Done.ShouldBeTrue();
        }
    }

    private void Clear()
    {
        foreach (string node in new[] { "a", "b" })
        {
            Empty(Path.Combine(run.Root, node, "pool"));
            Empty(Path.Combine(run.Root, node, "mem"));
        }

        Empty(TracedPair.RecordsOf(run.Root));
    }

    private static void Empty(string directory)
    {
        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }

        Directory.CreateDirectory(directory);
    }

    private static bool IsBelow(string path, string directory) => path.StartsWith(directory + "/", StringComparison.Ordinal);
}
