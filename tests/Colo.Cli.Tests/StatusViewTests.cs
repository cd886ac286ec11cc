using Colo.Api;
using Colo.Cli.Local;
using Colo.Cli.Status;
using Spectre.Console;

namespace Colo.Cli.Tests;

public sealed class StatusViewTests
{
    private static readonly DateTimeOffset Now = new(2024, 5, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void Every_section_shows_what_the_status_says()
    {
        string text = Render(Report(Status() with
        {
            Resync = new ResyncStatus { Percent = 42, BytesRemaining = ByteQuantity.FromMebibytes(120), EstimatedFinish = Now.AddSeconds(65) },
            Errors = [new VolumeError { Node = "node-a", Number = 2, Name = "ForwardFailed", Message = "connection reset" }],
        }));

        text.ShouldContain("42.0 %  120 MiB left, 1m5s to go");
        text.ShouldContain("2 ForwardFailed: connection reset");
        text.ShouldContain("50.0 %  1.0 GiB of 2.0 GiB (Memory)");
        text.ShouldContain("nbd+unix:///e?socket=/run/d.sock");
        text.ShouldContain("5s ago");
    }

    [Fact]
    public void Online_and_in_sync_are_shown_apart()
    {
        string row = Render(Report(Status())).Split('\n').Single(l => l.Contains("node-b", StringComparison.Ordinal) && l.Contains("Secondary", StringComparison.Ordinal));

        row.ShouldContain("yes");
        row.ShouldContain("Stale");
    }

    [Fact]
    public void A_message_with_markup_in_it_is_shown_as_it_is()
    {
        Render(Report(Status() with { Message = "[red]not[/] markup [[" })).ShouldContain("[red]not[/] markup [[");
    }

    [Fact]
    public void Without_a_primary_it_says_that_there_is_no_endpoint()
    {
        Render(Report(Status() with { Endpoint = null })).ShouldContain("no primary serves");
    }

    private static string Render(VolumeReport report)
    {
        using StringWriter writer = new();
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer), Ansi = AnsiSupport.No });
        console.Profile.Width = 160;
        StatusView.Render(console, report, Now);
        return writer.ToString();
    }

    private static VolumeReport Report(ReplicatedVolumeStatus status) => new(
        new ReplicatedVolume
        {
            Metadata = new ObjectMetadata { Name = "disk", Uid = "u" },
            Spec = new ReplicatedVolumeSpec { Size = ByteQuantity.FromGibibytes(1) },
            Status = status,
        },
        [new VolumeEvent(Now.AddSeconds(-3), "Protected", "in sync")]);

    private static ReplicatedVolumeStatus Status() => new()
    {
        Phase = VolumePhase.Degraded,
        Term = 2,
        CurrentPrimary = "node-a",
        TargetPrimary = "node-a",
        CurrentSecondary = "node-b",
        SecondaryState = Api.SecondaryState.Stale,
        Replicas =
        [
            new ReplicaStatus { Node = "node-a", Role = ReplicaRole.Primary, State = "Alone", Online = true, InSync = true, Term = 2, LastSeen = Now },
            new ReplicaStatus { Node = "node-b", Role = ReplicaRole.Secondary, State = "Running", Online = true, Term = 2, LastSeen = Now },
        ],
        Endpoint = new VolumeEndpoint { Unix = "/run/d.sock", Uri = "nbd+unix:///e?socket=/run/d.sock" },
        Checkpoint = new CheckpointStatus { Sequence = 3, LastTime = Now.AddSeconds(-5) },
        Buffer = new BufferStatus { Used = ByteQuantity.FromGibibytes(1), Limit = ByteQuantity.FromGibibytes(2) },
    };
}
