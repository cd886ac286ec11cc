using System.Globalization;
using System.Text;

namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>What was done, so that a green run can be told from an idle one.</summary>
internal sealed class SigkillReport
{
    private readonly SortedDictionary<KillKind, (int OfPrimary, int OfSecondary)> kills = [];

    /// <summary>Images that qemu-img has checked.</summary>
    public int Images { get; set; }

    /// <summary>Slots with an acknowledged write that were read back, over all rounds.</summary>
    public long Slots { get; set; }

    /// <summary>Comparisons of both raw disks.</summary>
    public int Comparisons { get; set; }

    /// <summary>Kills for which the record still said Syncing.</summary>
    public int Resyncing { get; set; }

    public int Rounds { get; set; }

    /// <summary>Completed resyncs by their mode, and what they copied.</summary>
    public IReadOnlyList<(string Mode, long Bytes)> Resyncs { get; set; } = [];

    public void Killed(KillKind kind, bool primary)
    {
        (int ofPrimary, int ofSecondary) = kills.GetValueOrDefault(kind);
        kills[kind] = primary ? (ofPrimary + 1, ofSecondary) : (ofPrimary, ofSecondary + 1);
    }

    public string ToText(int seed, long acknowledgedRequests, long terms)
    {
        StringBuilder text = new();
        text.AppendLine(CultureInfo.InvariantCulture, $"SIGKILL rounds: seed {seed}, {Rounds} rounds, term {terms} at the end");
        foreach ((KillKind kind, (int ofPrimary, int ofSecondary)) in kills)
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  {kind,-20} {ofPrimary,4} of the primary {ofSecondary,4} of the secondary");
        }

        text.AppendLine(CultureInfo.InvariantCulture, $"  {Resyncing} kills hit a running resync");
        foreach (IGrouping<string, (string Mode, long Bytes)> mode in Resyncs.GroupBy(resync => resync.Mode))
        {
            text.AppendLine(CultureInfo.InvariantCulture, $"  {mode.Count()} resyncs of mode {mode.Key}, {mode.Sum(resync => resync.Bytes) >> 10} KiB");
        }

        text.AppendLine(CultureInfo.InvariantCulture, $"  {acknowledgedRequests} acknowledged requests, {Slots} acknowledged slots read back");
        text.Append(CultureInfo.InvariantCulture, $"  {Images} images checked, {Comparisons} comparisons of both disks");
        return text.ToString();
    }
}
