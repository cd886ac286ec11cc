using Colo.Cli.Status;

namespace Colo.Cli.Tests;

public sealed class LiveScreenTests
{
    [Fact]
    public void A_frame_starts_at_the_top_and_clears_what_the_one_before_left() =>
        LiveScreen.Frame("one\ntwo\n", height: 3).ShouldBe("\e[Hone\e[K\r\ntwo\e[K\e[J");

    [Fact]
    public void What_does_not_fit_is_counted_on_the_last_line() =>
        LiveScreen.Frame("1\n2\n3\n4\n", height: 3).ShouldBe("\e[H1\e[K\r\n2\e[K\r\n... 2 more lines: the window is too low\e[K\e[J");

    [Fact]
    public void What_fits_exactly_is_shown_whole() => LiveScreen.Frame("1\n2\n3", height: 3).ShouldEndWith("3\e[K\e[J");

    [Theory]
    [InlineData(0.4, "now")]
    [InlineData(59, "59s ago")]
    [InlineData(3 * 60 + 4, "3m4s ago")]
    [InlineData(26 * 3600, "1d2h ago")]
    public void An_age_has_two_units(double seconds, string shown) => Age.Ago(TimeSpan.FromSeconds(seconds)).ShouldBe(shown);
}
