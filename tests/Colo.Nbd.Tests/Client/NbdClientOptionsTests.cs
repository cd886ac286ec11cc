using Colo.Nbd.Client;

namespace Colo.Nbd.Tests.Client;

public class NbdClientOptionsTests
{
    private static readonly NbdClientOptions Good = new() { Endpoint = NbdEndpoint.Unix("/nowhere") };

    public static TheoryData<NbdClientOptions> Bad => new(
        Good with { MaxInFlight = 0 },
        Good with { MaxInFlight = 5000 },
        Good with { MaxPayloadBytes = 1 },
        Good with { CoalesceBytes = -1 },
        Good with { ReceiveBufferBytes = 100 },
        Good with { RequestTimeout = TimeSpan.Zero },
        Good with { BusyPoll = TimeSpan.FromSeconds(-1) },
        Good with { Reconnect = new ReconnectPolicy { MaxAttempts = -1 } },
        Good with { Reconnect = new ReconnectPolicy { Jitter = 2 } });

    [Theory]
    [MemberData(nameof(Bad))]
    public async Task Options_outside_their_range_are_refused_before_anything_is_opened(NbdClientOptions options) =>
        await Should.ThrowAsync<ArgumentException>(() => NbdClientDevice.ConnectAsync(options));

    [Fact]
    public async Task A_server_that_is_not_there_is_told_as_unreachable()
    {
        NbdClientException e = await Should.ThrowAsync<NbdClientException>(() => NbdClientDevice.ConnectAsync(Good));

        e.Kind.ShouldBe(NbdClientErrorKind.Unreachable);
    }

    [Fact]
    public void The_delay_doubles_up_to_its_bound_and_jitter_only_shortens_it()
    {
        ReconnectPolicy policy = new()
        {
            InitialDelay = TimeSpan.FromMilliseconds(100),
            MaxDelay = TimeSpan.FromMilliseconds(350),
            Jitter = 0.5,
        };

        Enumerable.Range(0, 4).Select(i => policy.DelayBefore(i, random: 0).TotalMilliseconds).ShouldBe([100, 200, 350, 350]);
        policy.DelayBefore(1, random: 1).TotalMilliseconds.ShouldBe(100);
        policy.DelayBefore(int.MaxValue, random: 0).TotalMilliseconds.ShouldBe(350);
    }

    [Theory]
    [InlineData(NbdClientState.Connected, NbdClientEvent.HandshakeDone)]
    [InlineData(NbdClientState.Failed, NbdClientEvent.HandshakeDone)]
    [InlineData(NbdClientState.Failed, NbdClientEvent.ConnectionLost)]
    [InlineData(NbdClientState.Closed, NbdClientEvent.GivenUp)]
    internal void A_step_that_the_table_does_not_have_throws(NbdClientState state, NbdClientEvent happened) =>
        Should.Throw<InvalidOperationException>(() => NbdClientTransitions.Next(state, happened));
}
