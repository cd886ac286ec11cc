namespace Colo.Benchmarks.Load;

/// <summary>What one run of a load measured. For mixed loads the latencies are those of the worse direction.</summary>
internal sealed record LoadResult(
    double Iops,
    double MebibytesPerSecond,
    double MedianMicroseconds,
    double P99Microseconds,
    double MaxMicroseconds,
    long Requests,
    double ServerCpuMicrosecondsPerRequest,
    long ServerFileBytes);
