using System.Diagnostics;
using Colo.Api;
using Colo.Cli.Local;

namespace Colo.Cli.Commands;

/// <summary>Polls the control loop until the volumes are as wanted, telling each change of phase on the way.</summary>
internal sealed class VolumeWaiter(LocalLayout layout, TextWriter progress)
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);

    /// <returns>The volumes as they then are; null: not within the time.</returns>
    /// <exception cref="CommandException">no loop runs, or there is no such volume.</exception>
    public async Task<IReadOnlyList<VolumeReport>?> UntilAsync(
        string? name, Func<ReplicatedVolumeStatus, bool> wanted, TimeSpan bound, CancellationToken token)
    {
        ControlClient client = new(layout);
        BackgroundProcess loop = new(layout.ControlPid, layout.ControlLog);
        Dictionary<string, string> told = new(StringComparer.Ordinal);
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            ControlReply? reply = await client.TryAskAsync(new ControlRequest("status", name), token);
            // One that was started a moment ago does not listen yet; one whose process is gone never will.
            if (reply is null && loop.Pid is null)
            {
                throw new CommandException(ExitCode.NotRunning, $"no control loop runs for {layout.Root}{Environment.NewLine}{loop.LogTail(15)}".TrimEnd());
            }

            if (reply is { Volumes.Count: 0 })
            {
                throw new CommandException(ExitCode.Usage, name is null ? "there is no volume" : $"no volume '{name}'");
            }

            if (reply is not null)
            {
                Tell(reply.Volumes, told);
                if (reply.Volumes.All(v => wanted(v.Volume.Status!)))
                {
                    return reply.Volumes;
                }
            }

            if (Stopwatch.GetElapsedTime(start) > bound)
            {
                return null;
            }

            await Task.Delay(Poll, token);
        }
    }

    private void Tell(IReadOnlyList<VolumeReport> volumes, Dictionary<string, string> told)
    {
        foreach (ReplicatedVolume volume in volumes.Select(v => v.Volume))
        {
            string line = $"{volume.Metadata.Name}: {volume.Status!.Phase}: {volume.Status.Message}";
            if (!told.TryGetValue(volume.Metadata.Name, out string? before) || before != volume.Status.Phase.ToString())
            {
                told[volume.Metadata.Name] = volume.Status.Phase.ToString();
                progress.WriteLine(line);
            }
        }
    }
}
