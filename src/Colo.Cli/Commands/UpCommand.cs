using System.CommandLine;
using Colo.Api;
using Colo.Api.Yaml;
using Colo.Cli.Local;
using Colo.Control;

namespace Colo.Cli.Commands;

/// <summary>`coloctl local up`: two agents, the embedded arbiter, a control loop, and the volumes of the manifests until Protected.</summary>
internal static class UpCommand
{
    private static readonly string[] Nodes = ["node-a", "node-b"];

    public static Command Create()
    {
        Option<string[]> files = new("--file", "-f")
        {
            Description = "Manifest of one or several ReplicatedVolumes, or a directory of them; may be given several times",
            HelpName = "volume.yaml",
            AllowMultipleArgumentsPerToken = false,
        };
        Option<bool> foreground = new("--foreground") { Description = "Run the control loop here until Ctrl-C, then stop the agents (data is kept)" };
        Option<bool> restart = new("--restart-agents") { Description = "The control loop starts an agent again when it has died" };
        Option<Duration> timeout = CommonOptions.Timeout("How long to wait until every volume is Protected", 60);
        Command command = new("up", "Start two agents and a control loop, and bring the volumes of the manifests up")
        {
            files, foreground, restart, timeout,
        };
        command.SetAction((parsed, token) => RunAsync(
            parsed.Layout(), parsed.GetValue(files) ?? [], parsed.GetValue(foreground), parsed.GetValue(restart), parsed.GetValue(timeout), token));
        return command;
    }

    private static async Task<int> RunAsync(
        LocalLayout layout, string[] files, bool foreground, bool restart, TimeSpan timeout, CancellationToken token)
    {
        LocalState state = Merge(LocalState.Load(layout), ReadManifests(files), restart);
        string binary = AgentBinary.Find();
        BackgroundProcess loop = new(layout.ControlPid, layout.ControlLog);
        layout.Create(state.Nodes, state.Pools);
        if (loop.Pid is not null)
        {
            // It reads its volumes at its start; it holds nothing else, so a new one takes over where it was.
            await loop.StopAsync(TimeSpan.FromSeconds(10), token);
        }

        state.Save(layout);
        await StartAgentsAsync(layout, state, binary, token);
        if (foreground)
        {
            return await RunHereAsync(layout, state, token);
        }

        StartLoop(loop, layout);
        IReadOnlyList<VolumeReport>? ready = await new VolumeWaiter(layout, Console.Error).UntilAsync(
            null, status => status.Phase == VolumePhase.Protected, timeout, token);
        if (ready is null)
        {
            ControlReply? last = await new ControlClient(layout).TryAskAsync(new ControlRequest("status"), token);
            string reasons = string.Concat((last?.Volumes ?? []).Where(v => v.Volume.Status!.Phase != VolumePhase.Protected)
                .Select(v => $"{v.Volume.Metadata.Name} is {v.Volume.Status!.Phase}: {v.Volume.Status.Message}{Environment.NewLine}"));
            throw new CommandException(ExitCode.TimedOut,
                $"{reasons}not every volume is Protected after {new Duration(timeout)}; it goes on in the background: coloctl local status --dir {layout.Root}");
        }

        Announce(ready);
        return ExitCode.Ok;
    }

    public static void StartLoop(BackgroundProcess loop, LocalLayout layout) =>
        loop.Start(Environment.ProcessPath!, ["local", "control", "--dir", layout.Root]);

    private static List<ReplicatedVolume> ReadManifests(string[] files)
    {
        List<ReplicatedVolume> volumes = [];
        foreach (string path in files)
        {
            string[] each = Directory.Exists(path)
                ? [.. Directory.EnumerateFiles(path).Where(f => f.EndsWith(".yaml", StringComparison.Ordinal) || f.EndsWith(".yml", StringComparison.Ordinal)).Order(StringComparer.Ordinal)]
                : [path];
            foreach (string file in each)
            {
                try
                {
                    volumes.AddRange(VolumeManifest.ReadFile(file));
                }
                catch (Exception e) when (e is ManifestException)
                {
                    throw new CommandException(ExitCode.Usage, e.Message);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    throw new CommandException(ExitCode.Usage, $"{file}: {e.Message}");
                }
            }
        }

        return volumes;
    }

    private static LocalState Merge(LocalState? known, List<ReplicatedVolume> asked, bool restart)
    {
        if (known is null && asked.Count == 0)
        {
            throw new CommandException(ExitCode.Usage, "nothing is set up here yet: give a manifest with -f volume.yaml");
        }

        HashSet<int> taken = [];
        IReadOnlyList<LocalAgent> agents = known?.Agents ?? [.. Nodes.Select(n => new LocalAgent(n, FreePort.Find(taken), FreePort.Find(taken)))];
        List<LocalVolume> volumes = [.. known?.Volumes ?? []];
        foreach (ReplicatedVolume volume in asked)
        {
            Check(volume);
            int at = volumes.FindIndex(v => v.Name == volume.Metadata.Name);
            if (at < 0)
            {
                volumes.Add(new LocalVolume(Guid.NewGuid().ToString("D"), volume, VolumeIntent.None));
                continue;
            }

            VolumeChangeRule? broken = VolumeRules.Changes.FirstOrDefault(r => !r.Holds(volumes[at].Manifest.Spec, volume.Spec));
            if (broken is not null || volumes[at].Manifest.Spec.Size != volume.Spec.Size)
            {
                throw new CommandException(ExitCode.Usage,
                    $"{volume.Metadata.Name}: spec.{broken?.Path ?? "size"} {broken?.Message ?? "cannot be changed by this version"}");
            }

            volumes[at] = volumes[at] with { Manifest = volume };
        }

        if (volumes.GroupBy(v => v.Name, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new CommandException(ExitCode.Usage, $"two manifests are named '{twice.Key}'");
        }

        return new LocalState(agents, volumes, restart || known is { RestartAgents: true });
    }

    private static void Check(ReplicatedVolume volume)
    {
        try
        {
            Placement.Choose(volume.Spec.Placement, Nodes);
        }
        catch (PlacementException e)
        {
            throw new CommandException(ExitCode.Usage, $"{volume.Metadata.Name}: spec.{e.Message}");
        }

        if (volume.Spec.Source is not { Url: null, Nbd: null, Pvc: null })
        {
            throw new CommandException(ExitCode.Usage,
                $"{volume.Metadata.Name}: spec.source is not supported by `coloctl local`; fill the volume through its guest URI (nbdcopy)");
        }
    }

    private static async Task StartAgentsAsync(LocalLayout layout, LocalState state, string binary, CancellationToken token)
    {
        List<AgentProcess> processes = [.. state.Agents.Select(a => new AgentProcess(layout, a))];
        foreach (AgentProcess process in processes.Where(p => p.Pid is null))
        {
            process.Start(binary, state.Pools);
        }

        foreach (AgentProcess process in processes)
        {
            await process.WaitUntilAnsweringAsync(token);
        }
    }

    private static async Task<int> RunHereAsync(LocalLayout layout, LocalState state, CancellationToken token)
    {
        BackgroundProcess.WritePidFile(layout.ControlPid, Environment.ProcessId);
        using (ControlLoop loop = new(layout, Console.Out))
        {
            await loop.RunAsync(token);
        }

        File.Delete(layout.ControlPid);
        foreach (LocalAgent agent in state.Agents)
        {
            await new AgentProcess(layout, agent).StopAsync(CancellationToken.None);
        }

        return ExitCode.Ok;
    }

    private static void Announce(IReadOnlyList<VolumeReport> ready)
    {
        foreach (ReplicatedVolume volume in ready.Select(r => r.Volume))
        {
            Console.WriteLine($"{volume.Metadata.Name} is {volume.Status!.Phase}; its guest connects to");
            Console.WriteLine($"  {volume.Status.Endpoint?.Uri}");
            Console.WriteLine($"  (unix socket {volume.Status.Endpoint?.Unix}; the path stays the same over a failover)");
        }
    }
}
