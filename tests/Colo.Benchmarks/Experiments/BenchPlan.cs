namespace Colo.Benchmarks.Experiments;

/// <summary>How much is measured: the same experiments, in a few minutes or thoroughly.</summary>
internal sealed record BenchPlan(
    string Name,
    int Rounds,
    int SecondsPerRun,
    long DiskBytes,
    int DiskRounds,
    bool AllJobsOnDisk,
    int FirstTouchRounds,
    IReadOnlyList<long> BufferSizes)
{
    private const long Mebibyte = 1 << 20;

    public static BenchPlan Quick { get; } = new("quick", 3, 1, 128 * Mebibyte, 1, false, 2, [Mebibyte, 16 * Mebibyte, 128 * Mebibyte]);

    public static BenchPlan Full { get; } =
        new("full", 5, 3, 512 * Mebibyte, 3, true, 5, [Mebibyte, 16 * Mebibyte, 64 * Mebibyte, 256 * Mebibyte, 1024 * Mebibyte]);
}

/// <summary>Where the disks lie while they are measured.</summary>
internal sealed record Medium(string Name, string Root)
{
    public static Medium Tmpfs { get; } = new("tmpfs", "/dev/shm");

    /// <summary>Under the build's own folder, not /tmp: that may be a tmpfs.</summary>
    public static Medium Disk { get; } = new("disk", Path.GetFullPath("artifacts"));
}
