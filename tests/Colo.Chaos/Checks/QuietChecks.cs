using System.Globalization;
using Colo.Chaos.Guests;
using Colo.Chaos.World;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Chaos.Checks;

/// <summary>What must hold once everything is healed, the volume is Protected and no guest writes. Each returns what is wrong.</summary>
internal sealed class QuietChecks(Stage stage, History history)
{
    private const long MostResidentBytes = 700L << 20;
    private const int MostDescriptors = 400;

    /// <summary>Writes whose guest has gone may still be on their way to both disks.</summary>
    private static readonly TimeSpan DisksSettle = TimeSpan.FromSeconds(60);

    public static IReadOnlyList<string> Names { get; } =
    [
        "no acknowledged write lost, no torn or foreign slot", "reads show the newest acknowledged write", "one node answers in a term",
        "terms rise only", "both disks byte-equal", "qemu-img check of the overlays", "memory and descriptors bounded", "nobody ended by himself",
    ];

    /// <summary>So far, of all rounds.</summary>
    public int OverlaysChecked { get; private set; }

    public async Task<IReadOnlyList<string>> RunAsync(VolumeRecord record)
    {
        List<string> wrong = [];
        await using (NbdClientDevice device = await NodeGuest.ConnectAsync(stage.GuestSocket(record.Primary!), CancellationToken.None))
        {
            wrong.AddRange((await history.VerifyAsync(device)).Take(20));
        }

        if (history.WrongRead is { } read)
        {
            wrong.Add(read);
        }

        if (history.Moves > record.Term)
        {
            wrong.Add(string.Create(CultureInfo.InvariantCulture, $"answers changed their node {history.Moves} times in {record.Term} terms"));
        }

        wrong.AddRange(await DisksAsync(record));
        wrong.AddRange(await OverlaysAsync());
        wrong.AddRange(Processes());
        return wrong;
    }

    private async Task<IEnumerable<string>> DisksAsync(VolumeRecord record)
    {
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        while (true)
        {
            // Not qemu-img: the agents' locks keep it out.
            ToolResult compared = await Tool.RunAsync("cmp", stage.DiskFile(record.Primary!), stage.DiskFile(record.Secondary!));
            if (compared.ExitCode == 0)
            {
                return [];
            }

            if (System.Diagnostics.Stopwatch.GetElapsedTime(start) > DisksSettle)
            {
                return [$"the disks of {record.Primary} and {record.Secondary} differ: {compared.Output}{compared.Error}"];
            }

            await Task.Delay(500);
        }
    }

    /// <summary>Of copies, since the agents' locks keep qemu-img out. Leaked clusters (3) are no damage.</summary>
    private async Task<IEnumerable<string>> OverlaysAsync()
    {
        List<string> wrong = [];
        using TempDirectory copies = new(onTmpfs: true);
        string copy = copies.File("overlay");
        string withoutBacking = "json:{\"driver\": \"qcow2\", \"backing\": null, \"file\": {\"driver\": \"file\", \"filename\": \"" + copy + "\"}}";
        foreach (string overlay in Stage.Nodes.SelectMany(stage.Overlays).ToList())
        {
            await Tool.RunAsync("cp", "--sparse=always", overlay, copy);
            ToolResult check = await Tool.RunAsync("qemu-img", "check", withoutBacking);

            OverlaysChecked += check.ExitCode is 0 or 3 ? 1 : 0;

            // Agents drop used overlays in the background.
            if (check.ExitCode is not (0 or 3) && File.Exists(overlay))
            {
                wrong.Add($"{overlay}: {check.Output}{check.Error}");
            }
        }

        return wrong;
    }

    private IEnumerable<string> Processes()
    {
        foreach (Victim victim in stage.Agents.Values.Append(stage.Operator))
        {
            if (victim.Crash is { } crash)
            {
                yield return crash;
                continue;
            }

            (long resident, int descriptors) = victim.Usage();
            if (resident > MostResidentBytes || descriptors > MostDescriptors)
            {
                yield return string.Create(CultureInfo.InvariantCulture, $"{victim.Place} holds {resident >> 20} MiB and {descriptors} descriptors");
            }
        }
    }
}
