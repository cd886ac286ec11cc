using System.Diagnostics;

namespace Colo.Nbd.Wire;

/// <summary>
/// How long a receiver looks at its socket before it sleeps. Waking a sleeping thread costs more than serving a small request, so where
/// bytes keep coming at short intervals it pays to look; where they do not, looking is wasted. As KVM's halt polling: a wait that looking
/// could have covered makes the next one look, a longer one makes the next one sleep at once. An idle connection costs nothing.
/// </summary>
/// <remarks>
/// It gives way between two looks. Where that takes long, the core is wanted by others: a poller would get it back only after their time
/// slice, a sleeper is woken ahead of them, so it sleeps for the next waits. One receiving thread's own; not shared.
/// </remarks>
internal struct AdaptivePoll(TimeSpan longest)
{
    /// <summary>A switch to a thread that serves one small request and back takes a few microseconds; a time slice takes milliseconds.</summary>
    private const long CrowdedMicroseconds = 100;

    /// <summary>How many waits a crowded core is left alone: a look costs a time slice if it is still crowded.</summary>
    private const int RestWaits = 256;

    private static readonly long CrowdedTicks = CrowdedMicroseconds * Stopwatch.Frequency / 1_000_000;

    private readonly long longestTicks = (long)(longest.TotalSeconds * Stopwatch.Frequency);
    private long waitingSince;
    private int restWaits;
    private bool expectsSoon;

    /// <summary>A receive has found nothing. True: gave way, look again. False: sleep until there is something.</summary>
    public bool TryGiveWay()
    {
        long now = Stopwatch.GetTimestamp();
        if (waitingSince == 0)
        {
            waitingSince = now;
        }

        if (!expectsSoon || now - waitingSince >= longestTicks)
        {
            return false;
        }

        Thread.Yield();
        if (Stopwatch.GetTimestamp() - now < CrowdedTicks)
        {
            return true;
        }

        expectsSoon = false;
        restWaits = RestWaits;
        return false;
    }

    /// <summary>A receive has found something.</summary>
    public void Found()
    {
        if (waitingSince == 0)
        {
            return;
        }

        long waited = Stopwatch.GetTimestamp() - waitingSince;
        waitingSince = 0;
        if (restWaits > 0)
        {
            restWaits--;
        }
        else
        {
            expectsSoon = waited < longestTicks;
        }
    }
}
