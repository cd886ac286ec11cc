namespace Colo.PowerCut.Tests;

/// <summary>One system call of a recorded process. Steps are counted over the whole recording: one where a call begins, one where it
/// ends; a call that never ended (its process was killed) has no end.</summary>
/// <param name="Name">As the kernel's manual calls it.</param>
/// <param name="Arguments">As strace prints them, strings still in hex.</param>
/// <param name="Begin">Its first step.</param>
public sealed record SystemCall(string Name, string[] Arguments, int Begin)
{
    public const int Never = int.MaxValue;

    public int End { get; init; } = Never;

    /// <summary>What it returned; negative for a failure.</summary>
    public long Result { get; init; } = -1;

    public bool Succeeded => End != Never && Result >= 0;
}

/// <summary>What strace saw: calls in the order of their ends, and when each step was (nanoseconds since 1970).</summary>
public sealed record SystemCallLog(IReadOnlyList<SystemCall> Calls, IReadOnlyList<long> StepTimes);
