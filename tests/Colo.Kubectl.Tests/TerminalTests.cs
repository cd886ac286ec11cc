using Colo.Testing;

namespace Colo.KubectlTests;

/// <summary>What a person sees on a terminal, and what a program sees in a pipe.</summary>
public sealed class TerminalTests(ColoCluster cluster)
{
    private const string Green = "38;5;2m";
    private const string SecondScreen = "\e[?1049h";
    private const string FirstScreen = "\e[?1049l";

    [Fact]
    public async Task On_a_terminal_the_phase_is_coloured_and_in_a_pipe_nothing_is()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        string terminal = (await Pty.RunAsync(coloctl.CommandLine("status db"))).EnsureSuccess();
        string pipe = (await coloctl.RunWithAsync(new(StringComparer.Ordinal) { ["TERM"] = "xterm-256color", ["GITHUB_ACTIONS"] = "true" }, "status", "db")).EnsureSuccess();

        terminal.ShouldContain($"{Green}Protected");
        pipe.ShouldContain("Protected");
        pipe.ShouldNotContain("\e");
    }

    [Theory]
    [InlineData("NO_COLOR", "1", "\e[1mProtected")]
    [InlineData("TERM", "dumb", " Protected")]
    public async Task Who_asks_for_no_colours_gets_none(string variable, string value, string shown)
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");

        string terminal = (await Pty.RunAsync(coloctl.CommandLine("status db"), new Dictionary<string, string>(StringComparer.Ordinal) { [variable] = value })).EnsureSuccess();

        terminal.ShouldContain(shown);
        terminal.ShouldNotContain("38;5;");
        terminal.ShouldNotMatch("\e\\[(1;)?[349][0-9]m");
    }

    [Fact]
    public async Task Watch_draws_on_the_second_screen_again_at_each_change_and_gives_the_first_one_back_at_CtrlC()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        await using RunningTool terminal = Pty.Start(coloctl.CommandLine("status db --watch"));
        await Eventually.TrueAsync(() => terminal.Output.Contains("node-b is in sync", StringComparison.Ordinal), "the volume is drawn");

        await ColoCluster.PatchStatusAsync(cluster.Server, coloctl.Namespace, "db", ColoCluster.Protected("node-b", "node-a", term: 4));
        await Eventually.TrueAsync(() => terminal.Output.Contains("node-a is in sync", StringComparison.Ordinal), "the change is drawn");
        await Pty.PressCtrlCAsync(terminal);
        ToolResult ended = await terminal.WaitAsync();

        ended.ExitCode.ShouldBe(0, ended.Output + ended.Error);
        ended.Output.IndexOf(SecondScreen, StringComparison.Ordinal).ShouldBeLessThan(ended.Output.IndexOf("Protected", StringComparison.Ordinal));
        ended.Output.ShouldContain("\e[H");
        string afterwards = ended.Output[ended.Output.IndexOf(FirstScreen, StringComparison.Ordinal)..];
        afterwards.ShouldContain("node-a is in sync");
    }

    [Fact]
    public async Task A_frame_is_never_longer_than_the_window()
    {
        Coloctl coloctl = await cluster.AsAdminAsync();
        await cluster.CreateVolumeAsync(coloctl.Namespace, "db");
        await using RunningTool terminal = Pty.Start(coloctl.CommandLine("status db --watch"), rows: 10);

        await Eventually.TrueAsync(() => terminal.Output.Contains("more lines: the window is too low", StringComparison.Ordinal), "the frame is cut");

        await Eventually.TrueAsync(() => terminal.Output.Contains("\e[J", StringComparison.Ordinal), "the frame has ended");
        string frame = terminal.Output[terminal.Output.IndexOf("\e[H", StringComparison.Ordinal)..];
        frame[..frame.IndexOf("\e[J", StringComparison.Ordinal)].Split("\e[K").Length.ShouldBe(11, "ten lines, each cleared behind its end");
        await Pty.PressCtrlCAsync(terminal);
        (await terminal.WaitAsync()).ExitCode.ShouldBe(0);
    }
}
