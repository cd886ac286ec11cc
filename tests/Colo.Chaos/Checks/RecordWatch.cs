using System.Globalization;
using Colo.Chaos.World;

namespace Colo.Chaos.Checks;

/// <summary>Looks at the arbiter's record all the time: terms rise only, and a primary is never another one in the same term.</summary>
internal sealed class RecordWatch : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private readonly Stage stage;
    private readonly CancellationTokenSource stop = new();
    private readonly Task watching;

    public RecordWatch(Stage stage)
    {
        this.stage = stage;
        watching = Task.Run(WatchAsync);
    }

    /// <summary>The newest that the arbiter told.</summary>
    public VolumeRecord? Last { get; private set; }

    public string? Fault { get; private set; }

    /// <summary>Switchovers that were asked for and done, as far as the looks at the record met them.</summary>
    public int Switchovers { get; private set; }

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await watching;
        stop.Dispose();
    }

    private async Task WatchAsync()
    {
        while (!stop.IsCancellationRequested)
        {
            if (await stage.LookAsync() is { } now)
            {
                bool wentBack = Last is not null && now.Term < Last.Term;
                bool changedWithin = Last?.Primary is not null && now.Term == Last.Term && now.Primary != Last.Primary;
                if (wentBack || changedWithin)
                {
                    Fault ??= string.Create(CultureInfo.InvariantCulture, $"the record went from {Last} to {now}");
                }

                Switchovers += now.Switchover is not null && now.Switchover != Last?.Switchover ? 1 : 0;
                Last = now;
            }

            await Task.Delay(Interval);
        }
    }
}
