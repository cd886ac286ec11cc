using System.Globalization;
using Colo.Chaos.Checks;
using Colo.Chaos.Faults;
using Colo.Chaos.Guests;
using Colo.Chaos.World;
using Spectre.Console;

namespace Colo.Chaos;

/// <summary>What was done to the product, what it did, and what is wrong with that.</summary>
internal sealed class Report
{
    private readonly List<TimeSpan> silences = [];
    private readonly List<TimeSpan> heals = [];
    private readonly List<(string What, string Value)> figures = [];
    private int switchoverRounds;

    /// <summary>Empty: everything held.</summary>
    public List<string> Wrong { get; } = [];

    /// <summary>By Ctrl-C; the round that was under way does not count.</summary>
    public bool IsStopped { get; set; }

    /// <summary>The last that began.</summary>
    public int Round { get; set; }

    public int Rounds => silences.Count;

    public int OverlaysChecked { get; set; }

    public long Terms { get; private set; }

    public int MovedRounds { get; private set; }

    public void RoundEnded(TimeSpan silence, TimeSpan heal, VolumeRecord before, VolumeRecord after, bool hadSwitchover)
    {
        silences.Add(silence);
        heals.Add(heal);
        Terms += after.Term - before.Term;
        MovedRounds += before.Primary != after.Primary ? 1 : 0;
        switchoverRounds += hadSwitchover ? 1 : 0;
    }

    public void Count(History history, Injector injector, RecordWatch watch, TimeSpan time)
    {
        Add("rounds", $"{Rounds} in {time.TotalMinutes:0.0} min");
        foreach ((FaultKind kind, int count) in injector.Counts.OrderBy(c => c.Key))
        {
            Add($"fault: {kind}", $"{count}");
        }

        Add("faults in all", $"{injector.Counts.Values.Sum()}");
        Add("writes acknowledged", $"{history.Writes}");
        Add("reads checked, flushes", $"{history.Reads}, {history.Flushes}");
        Add("terms begun: by failovers, by switchovers", $"{Terms - watch.Switchovers}, {watch.Switchovers}");
        Add("moves of the primary that guests saw", $"{history.Moves}");
        Add("rounds in which a switchover was asked for", $"{switchoverRounds}");
        Add("longest silence of a round: median, worst", $"{Median(silences):0.0} s, {Worst(silences):0.0} s");
        Add("Protected after the last heal: median, worst", $"{Median(heals):0.0} s, {Worst(heals):0.0} s");
        Add("slots compared with the journal", $"{(long)Rounds * history.Slots}");
        Add("pairs of disks compared byte by byte", $"{Rounds}");
        Add("overlays checked by qemu-img", $"{OverlaysChecked}");
        Add("checks made", $"{Rounds} times each of {QuietChecks.Names.Count}");
    }

    public void Print(IAnsiConsole console)
    {
        Table table = new Table().Title("chaos").AddColumns("what", "figure");
        foreach ((string what, string value) in figures)
        {
            table.AddRow(what, value);
        }

        console.Write(table);
        console.WriteLine("checked each round: " + string.Join("; ", QuietChecks.Names));
    }

    private void Add(string what, FormattableString value) => figures.Add((what, value.ToString(CultureInfo.InvariantCulture)));

    private static double Worst(List<TimeSpan> times) => times.Count == 0 ? 0 : times.Max().TotalSeconds;

    private static double Median(List<TimeSpan> times) => times.Count == 0 ? 0 : times.Order().ElementAt(times.Count / 2).TotalSeconds;
}
