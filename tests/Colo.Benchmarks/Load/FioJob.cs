namespace Colo.Benchmarks.Load;

/// <summary>One shape of load, as fio names its parts.</summary>
/// <param name="Name">As printed and stored.</param>
/// <param name="ReadWrite">fio's rw=.</param>
/// <param name="BlockBytes">Bytes of each request.</param>
/// <param name="Depth">Requests in flight.</param>
/// <param name="IsThroughput">Reported in MiB/s rather than requests a second.</param>
internal sealed record FioJob(string Name, string ReadWrite, int BlockBytes, int Depth, bool IsThroughput = false)
{
    public static IReadOnlyList<FioJob> All { get; } =
    [
        new("4k randwrite qd1", "randwrite", 4096, 1),
        new("4k randwrite qd32", "randwrite", 4096, 32),
        new("4k randread qd1", "randread", 4096, 1),
        new("4k randread qd32", "randread", 4096, 32),
        new("4k 70/30 qd32", "randrw", 4096, 32),
        new("1M write qd4", "write", 1 << 20, 4, IsThroughput: true),
        new("1M read qd4", "read", 1 << 20, 4, IsThroughput: true),
    ];

    /// <summary>Fills the disk, so that no job meets holes and (replicated) no grain is touched for the first time.</summary>
    public static FioJob Fill { get; } = new("fill", "write", 1 << 20, 4, IsThroughput: true);

    /// <summary>Each block at most once, in random order: every write meets a grain for the first time.</summary>
    public static FioJob FirstTouch { get; } = new("4k first touch qd32", "randwrite", 4096, 32);
}

/// <summary>How much of a job to run: for a time, or until so many bytes were moved (and never longer than the bound).</summary>
internal sealed record FioExtent(int? Seconds, long SpanBytes, long? IoBytes = null)
{
    /// <summary>A load that moves a given number of bytes still ends by itself on a stalled server.</summary>
    public const int BoundSeconds = 60;
}
