using Microsoft.Extensions.Time.Testing;

namespace Colo.Replication.Tests;

/// <summary>How fast a resync may go: to its rate, and not at the guest's cost.</summary>
public sealed class ResyncPaceTests
{
    private const int Chunk = 1 << 20;

    private readonly FakeTimeProvider time = new();
    private long guestRequests;

    [Fact]
    public void Without_a_guest_and_without_a_rate_nothing_rests()
    {
        ResyncPace pace = new(() => guestRequests, bytesPerSecond: 0, time);
        for (int i = 0; i < 10; i++)
        {
            pace.RestAfter(Chunk, Worked(20)).ShouldBe(TimeSpan.Zero);
        }
    }

    [Fact]
    public void While_the_guest_writes_it_rests_as_long_as_it_worked_and_goes_on_at_once_when_the_guest_is_still()
    {
        ResyncPace pace = new(() => guestRequests, bytesPerSecond: 0, time);
        for (int i = 0; i < 10; i++)
        {
            guestRequests++;
            TimeSpan rest = pace.RestAfter(Chunk, Worked(20));
            rest.ShouldBe(TimeSpan.FromMilliseconds(20));
            time.Advance(rest);
        }

        pace.RestAfter(Chunk, Worked(20)).ShouldBe(TimeSpan.Zero);
    }

    [Fact]
    public void A_chunk_that_a_slow_disk_or_the_guest_held_up_does_not_make_the_rest_longer_than_its_bound()
    {
        ResyncPace pace = new(() => guestRequests, bytesPerSecond: 0, time);
        guestRequests++;
        pace.RestAfter(Chunk, Worked(5000)).ShouldBe(TimeSpan.FromMilliseconds(50));
    }

    [Theory]
    [InlineData(10)]
    [InlineData(40)]
    public void It_keeps_to_its_rate_over_time_whatever_a_chunk_costs(int workMilliseconds)
    {
        const long rate = 16 * Chunk;
        ResyncPace pace = new(() => guestRequests, rate, time);
        long start = time.GetTimestamp();
        const int chunks = 160;
        for (int i = 0; i < chunks; i++)
        {
            guestRequests += i % 2;
            time.Advance(pace.RestAfter(Chunk, Worked(workMilliseconds)));
        }

        double seconds = time.GetElapsedTime(start).TotalSeconds;
        (chunks * (double)Chunk / seconds).ShouldBeInRange(rate * 0.6, rate * 1.001, "no more than its rate, and not far below");
    }

    private TimeSpan Worked(int milliseconds)
    {
        TimeSpan worked = TimeSpan.FromMilliseconds(milliseconds);
        time.Advance(worked);
        return worked;
    }
}
