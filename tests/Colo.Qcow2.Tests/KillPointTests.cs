using Colo.Blocks;
using Colo.Testing;

namespace Colo.Qcow2.Tests;

public class KillPointTests
{
    public static TheoryData<string, int> Layouts => new()
    {
        { "512 byte clusters, 1-bit refcounts", 1 },
        { "512 byte clusters, 64-bit refcounts", 2 },
        { "4 KiB clusters", 3 },
        { "16 KiB clusters in 512 byte grains", 4 },
        { "128 KiB clusters in 4 KiB grains", 5 },
        { "16 KiB clusters in 512 byte grains, with barriers", 6 },
    };

    /// <summary>Every prefix of the changes to the file, whole and with the last one torn, as SIGKILL may leave it.</summary>
    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task A_kill_at_any_write_leaves_a_whole_image_with_every_answered_write(string layout, int seed)
    {
        History history = await History.RunAsync(OptionsFor(seed), seed, operations: seed == 5 ? 25 : 60);
        Random random = new(seed);
        byte[] content = [];
        int imageFrom = HeaderWritten(history);
        for (int i = 0; i < history.File.Changes.Count; i++)
        {
            FileChange change = history.File.Changes[i];
            if (i >= imageFrom)
            {
                await ShouldBeWholeAsync(change.ApplyTo([.. content], torn: random), history, i, isTorn: true, $"{layout}, torn change {i}");
            }

            content = change.ApplyTo(content);
            if (i >= imageFrom)
            {
                await ShouldBeWholeAsync([.. content], history, i + 1, isTorn: false, $"{layout}, after change {i}");
            }
        }

        content.ShouldBe(history.File.Snapshot());
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public async Task Qemu_img_check_finds_only_leaks_after_a_kill(string layout, int seed)
    {
        const int Samples = 25;
        History history = await History.RunAsync(OptionsFor(seed), seed + 100, operations: 40);
        using TempDirectory directory = new(onTmpfs: true);
        int from = HeaderWritten(history);
        Random random = new(seed);
        HashSet<int> chosen = [.. Enumerable.Range(0, Samples).Select(_ => random.Next(from, history.File.Changes.Count))];
        byte[] content = [];
        for (int i = 0; i < history.File.Changes.Count; i++)
        {
            byte[] torn = [.. content];
            content = history.File.Changes[i].ApplyTo(content);
            if (chosen.Contains(i))
            {
                torn = history.File.Changes[i].ApplyTo(torn, random);
                await File.WriteAllBytesAsync(directory.File("killed"), torn);
                ToolResult check = await Tool.RunAsync("qemu-img", "check", "-f", "qcow2", directory.File("killed"));
                check.ExitCode.ShouldBeOneOf([0, 3], $"{layout}, change {i}: {check.Output}{check.Error}");
            }
        }

        await File.WriteAllBytesAsync(directory.File("closed"), content);
        ToolResult closed = await Tool.RunAsync("qemu-img", "check", "-f", "qcow2", directory.File("closed"));
        closed.ExitCode.ShouldBe(0, $"{layout}, closed: {closed.Output}{closed.Error}");
    }

    /// <summary>What was not flushed may reach the medium in any order, torn, or not at all.</summary>
    [Theory]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public async Task A_loss_of_power_leaves_a_whole_image_with_every_flushed_write(int seed)
    {
        History history = await History.RunAsync(OptionsFor(seed), seed, operations: 60);
        Random random = new(seed);
        List<FileChange> changes = history.File.Changes;
        int from = HeaderWritten(history);
        byte[] durable = [];
        int flushed = 0;
        for (int i = 0; i < changes.Count; i++)
        {
            if (changes[i].IsFlush)
            {
                for (; flushed < i; flushed++)
                {
                    durable = changes[flushed].ApplyTo(durable);
                }
            }

            for (int round = 0; round < 4 && flushed > from; round++)
            {
                byte[] lost = [.. durable];
                foreach (FileChange change in changes[flushed..(i + 1)])
                {
                    lost = random.Next(3) switch
                    {
                        0 => lost,
                        1 when !change.IsFlush => change.ApplyTo(lost, random),
                        _ => change.ApplyTo(lost),
                    };
                }

                await ShouldKeepFlushedAsync(lost, history, i, $"seed {seed}, change {i}");
            }
        }
    }

    [Fact]
    public async Task A_kill_leaks_at_most_what_was_taken_ahead()
    {
        MemoryImageFile file = new() { Records = false };
        Qcow2Image image = await Qcow2Image.CreateAsync(file, Qcow2CreateOptions.ForBuffer(64 << 20));
        (await image.WriteAsync(0, new byte[4096])).ShouldBe(BlockStatus.Ok);

        await using Qcow2Image killed = await Qcow2Image.OpenAsync(new MemoryImageFile(file.Snapshot()));
        Check.Qcow2CheckReport report = await killed.CheckAsync(Check.Qcow2Repair.Leaks);

        report.Corruptions.ShouldBe(0);
        report.Leaks.ShouldBeInRange(1, 32);
        (await killed.CheckAsync()).IsClean.ShouldBeTrue();
    }

    internal static Qcow2CreateOptions OptionsFor(int seed) => seed switch
    {
        1 => new() { LengthBytes = 100_000, ClusterBits = 9, ExtendedL2 = false, RefcountOrder = 0, Durability = Qcow2Durability.ProcessDeath },
        2 => new() { LengthBytes = 70_000, ClusterBits = 9, ExtendedL2 = false, RefcountOrder = 6, Durability = Qcow2Durability.ProcessDeath },
        3 => new() { LengthBytes = 300_000, ClusterBits = 12, ExtendedL2 = false, Durability = Qcow2Durability.ProcessDeath },
        4 => new() { LengthBytes = 200_000, ClusterBits = 14, Durability = Qcow2Durability.ProcessDeath },
        5 => Qcow2CreateOptions.ForBuffer(600_000),
        6 => new() { LengthBytes = 200_000, ClusterBits = 14 },
        7 => new() { LengthBytes = 70_000, ClusterBits = 9, ExtendedL2 = false, RefcountOrder = 6 },
        _ => new() { LengthBytes = 100_000, ClusterBits = 12, ExtendedL2 = false },
    };

    /// <summary>The image exists once its header is written, which is the last write of creation.</summary>
    private static int HeaderWritten(History history) =>
        history.File.Changes.FindIndex(change => change is { Offset: 0, Bytes.Length: > 100 }) + 1;

    private static async Task ShouldBeWholeAsync(byte[] content, History history, int changes, bool isTorn, string where)
    {
        byte[] disk = await ReadCleanAsync(content, where);
        Moment? running = history.Moments.FirstOrDefault(m => m.ChangesBefore < changes + (isTorn ? 1 : 0) && changes < m.ChangesAfter);
        byte[] answered = history.Moments.LastOrDefault(m => m.ChangesAfter <= changes)?.After ?? new byte[history.Options.LengthBytes];
        if (running is null)
        {
            disk.AsSpan().CommonPrefixLength(answered).ShouldBe(answered.Length, where);
            return;
        }

        ShouldBeOldOrNew(disk, running, where);
    }

    private static void ShouldBeOldOrNew(byte[] disk, Moment running, string where)
    {
        if (running.Operation.Kind is OperationKind.MakeEmpty or OperationKind.Resize)
        {
            // All or nothing.
            bool isOld = disk.AsSpan().SequenceEqual(running.Before);
            bool isNew = disk.AsSpan().SequenceEqual(running.After);
            (isOld || isNew).ShouldBeTrue($"{where}: neither old nor new after {running.Operation}");
            return;
        }

        for (int i = 0; i < running.Before.Length; i++)
        {
            bool inside = i >= running.Range.Offset && i < running.Range.End;
            if (disk[i] != running.Before[i] && !(inside && (disk[i] == running.After[i] || disk[i] == 0)))
            {
                Assert.Fail($"{where}: byte {i} is {disk[i]} while {running.Operation} ran");
            }
        }
    }

    private static async Task ShouldKeepFlushedAsync(byte[] content, History history, int changes, string where)
    {
        byte[] disk = await ReadCleanAsync(content, where);
        int last = history.Moments.ToList().FindLastIndex(m => m.Operation.Kind == OperationKind.Flush && m.ChangesAfter <= changes);
        if (last < 0)
        {
            return;
        }

        byte[] flushed = history.Moments[last].After;
        List<Moment> later = [.. history.Moments.Skip(last + 1).Where(m => m.ChangesBefore <= changes && m.Operation.Kind is not OperationKind.Resize)];
        bool emptied = later.Exists(m => m.Operation.Kind == OperationKind.MakeEmpty);
        for (int i = 0; i < flushed.Length && !emptied; i++)
        {
            if (disk[i] != flushed[i] && !later.Exists(m => i >= m.Range.Offset && i < m.Range.End))
            {
                Assert.Fail($"{where}: flushed byte {i} is {disk[i]}, was {flushed[i]}");
            }
        }
    }

    private static async Task<byte[]> ReadCleanAsync(byte[] content, string where)
    {
        MemoryImageFile file = new(content) { Records = false };
        Qcow2Image image;
        try
        {
            image = await Qcow2Image.OpenAsync(file);
        }
        catch (Qcow2Exception e)
        {
            throw new InvalidOperationException($"{where}: {e.Message}", e);
        }

        Check.Qcow2CheckReport report = await image.CheckAsync();
        report.Corruptions.ShouldBe(0, $"{where}: {string.Join('\n', report.Messages)}");
        return await History.ReadAllAsync(image);
    }
}
