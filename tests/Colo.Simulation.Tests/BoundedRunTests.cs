using System.Globalization;
using System.Text.RegularExpressions;
using Colo.Testing;

namespace Colo.Simulation.Tests;

/// <summary>Some seeds that are always the same, and some that are new each time: whatever is found can be had again by its number.</summary>
public sealed partial class BoundedRunTests(ITestOutputHelper output)
{
    /// <summary>Enough for every fault and every transition of <see cref="MustBeExercised"/>.</summary>
    private const int Seeds = 149;

    /// <summary>Names of the coverage table, as the simulator counts them. What is not counted was never tested.</summary>
    private static readonly string[] MustBeExercised =
    [
        .. Enum.GetNames<Faults.FaultKind>().Select(kind => $"fault:{kind}"),
        "state:primary None->Running",
        "state:secondary None->Running", "state:secondary Running->Done", "state:secondary Running->Failover", "state:secondary Failover->Done",
        "serve:Confirming->Alone", "serve:Confirming->Waiting", "serve:Confirming->Fenced", "serve:Waiting->Replicating", "serve:Waiting->Suspended",
        "serve:Alone->Replicating", "serve:Replicating->Suspended", "serve:Suspended->Alone", "serve:Suspended->Fenced", "serve:Fenced->Closed",
        "situation:Unrecorded", "situation:SwitchingOver", "situation:PrimarySuspect", "situation:TakingOver", "situation:PrimaryLost",
        "situation:Promoting", "situation:PrimaryUnprepared", "situation:PrimaryWaiting", "situation:Refilling", "situation:SecondaryLost",
        "situation:SecondaryUnprepared", "situation:SecondaryStopped", "situation:Unattached", "situation:Syncing", "situation:LinkBroken",
        "situation:Protected",
        "error:1 PrimaryDisk", "error:2 Forward", "error:3 Backup", "error:4 SecondaryDisk", "error:6 MakeEmpty",
        "event:attach Full", "event:attach Recopy", "event:resync Interrupted", "event:began anew", "event:promoted LatestWrite",
        "event:promoted LastCheckpoint", "check:view", "check:equal", "end:protected",
        "check:5 acknowledged alone", "check:5 acknowledged by both", "check:6 cleared", "check:6 map ended", "check:9 equal when recorded",
        "check:10 full", "check:10 by the map", "check:10 as equal", "check:12 requests", "check:12 buffers",
        "case:a third node", "case:both down, the stale one back first", "case:call repeated PrepareRequest", "case:failover during resync", "case:the map rots in use",
    ];

    [Fact]
    public async Task Every_seed_keeps_every_promise_and_every_fault_and_transition_is_exercised()
    {
        ToolResult result = await Simulator.RunAsync("--seeds", Seeds.ToString(CultureInfo.InvariantCulture), "--coverage");
        output.WriteLine(result.Output);
        result.EnsureSuccess();
        HashSet<string> exercised = [.. Counts().Matches(result.Output).Select(m => m.Groups["what"].Value)];
        MustBeExercised.Except(exercised, StringComparer.Ordinal).ShouldBeEmpty("never exercised, so never tested");
    }

    [Fact]
    public async Task New_seeds_keep_every_promise_too()
    {
        string first = Random.Shared.Next(1_000_000, int.MaxValue).ToString(CultureInfo.InvariantCulture);
        ToolResult result = await Simulator.RunAsync("--first", first, "--seeds", "1000", "--seconds", "15");
        output.WriteLine(result.Output);
        result.EnsureSuccess();
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_trace_to_the_byte()
    {
        // In two processes, one of which has run another seed before: nothing that is left over changes anything.
        string alone = (await Simulator.RunAsync("--first", "22", "--seeds", "1", "--each")).EnsureSuccess();
        string after = (await Simulator.RunAsync("--first", "21", "--seeds", "2", "--each")).EnsureSuccess();
        string line = alone.Split('\n')[0];
        line.ShouldStartWith("seed 22: ");
        after.Split('\n')[1].ShouldBe(line);
        after.Split('\n')[0].Split(' ')[2].ShouldNotBe(line.Split(' ')[2]);
    }

    [Theory]
    [InlineData("--seed")]
    [InlineData("--seeds", "many")]
    [InlineData("--mutant", "nobody")]
    public async Task A_wrong_word_is_refused_with_the_usage(params string[] words)
    {
        ToolResult result = await Simulator.RunAsync(words);
        result.ExitCode.ShouldBe(64);
        result.Error.ShouldContain("--seeds");
    }

    [GeneratedRegex(@"^ *(?<count>\d+) (?<what>\w+:.+?)\r?$", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Counts();
}
