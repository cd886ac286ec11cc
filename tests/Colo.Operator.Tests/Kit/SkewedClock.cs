namespace Colo.Operator.Tests.Kit;

/// <summary>A wall clock that is wrong by so much, for one process (libfaketime). Its monotonic clock is right, as on any machine whose time was set wrongly.</summary>
/// <param name="Offset">As faketime writes it: +2d, -3h.</param>
public sealed record SkewedClock(string Offset)
{
    private static readonly string Library = Directory.EnumerateFiles("/usr/lib", "libfaketime.so.1", SearchOption.AllDirectories).FirstOrDefault()
        ?? throw new FileNotFoundException("libfaketime.so.1 is missing below /usr/lib: install the package faketime");

    public IReadOnlyDictionary<string, string> Environment { get; } = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["LD_PRELOAD"] = Library, ["FAKETIME"] = Offset, ["FAKETIME_DONT_FAKE_MONOTONIC"] = "1", ["DONT_FAKE_MONOTONIC"] = "1",
    };
}
