using Colo.Control;
using Colo.Driver;

namespace Colo.Cli.Local;

/// <summary>
/// The embedded control plane of one installation: a loop a volume, the door for requests, and (when asked) the restart of dead
/// agents. It holds nothing that is not in state.json, the records and the agents; it may be killed at any moment.
/// </summary>
public sealed class ControlLoop : IDisposable
{
    private static readonly TimeSpan AgentCheck = TimeSpan.FromSeconds(1);

    private readonly LocalLayout layout;
    private readonly TextWriter log;
    private readonly TimeProvider time = TimeProvider.System;
    private readonly Dictionary<string, AgentConnection> agents;
    private readonly PolledAgents polled;
    private readonly Dictionary<string, VolumeLoop> loops = new(StringComparer.Ordinal);
    private readonly List<Task> running = [];
    private readonly Lock stateLock = new();
    private LocalState state;

    public ControlLoop(LocalLayout layout, TextWriter log)
    {
        this.layout = layout;
        this.log = log;
        state = LocalState.LoadRequired(layout);
        agents = state.Agents.ToDictionary(a => a.Node, a => new AgentConnection("unix:" + layout.AgentSocket(a.Node)), StringComparer.Ordinal);
        polled = new PolledAgents(agents, time);
    }

    public async Task RunAsync(CancellationToken token)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(token);
        StartLoops(stop.Token);
        Task server = new ControlServer(layout.ControlSocket, AnswerAsync).RunAsync(stop.Token);
        Task keeper = KeepAgentsAsync(stop.Token);
        try
        {
            // A loop that ends by an exception is a fault of ours: the process ends with it rather than leave a volume unwatched.
            Task first = await Task.WhenAny([server, keeper, .. running]);
            await first;
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            // The way it ends.
        }
        finally
        {
            await stop.CancelAsync();
            await Task.WhenAll([server, keeper, .. running]).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    public void Dispose()
    {
        foreach (AgentConnection agent in agents.Values)
        {
            agent.Dispose();
        }
    }

    private void StartLoops(CancellationToken token)
    {
        foreach (LocalVolume volume in state.Volumes.Where(v => !loops.ContainsKey(v.Name)))
        {
            VolumeLoop loop = new(layout, volume, polled, intent => SaveIntent(volume.Name, intent), time, log);
            loops.Add(volume.Name, loop);
            running.Add(loop.RunAsync(token));
        }
    }

    private void SaveIntent(string name, VolumeIntent intent)
    {
        lock (stateLock)
        {
            if (state.Volumes.Single(v => v.Name == name).Intent != intent)
            {
                state = state with { Volumes = [.. state.Volumes.Select(v => v.Name == name ? v with { Intent = intent } : v)] };
                state.Save(layout);
            }
        }
    }

    private async Task<ControlReply> AnswerAsync(ControlRequest request, CancellationToken token)
    {
        if (request.Verb == "status")
        {
            IEnumerable<VolumeLoop> asked = request.Volume is null ? loops.Values : loops.Values.Where(d => d.Name == request.Volume);
            return new ControlReply(true, "") { Volumes = [.. asked.Select(d => new VolumeReport(d.Latest, d.Events.Latest))] };
        }

        if (Find(request.Volume, out string fault) is not { } loop)
        {
            return new ControlReply(false, fault);
        }

        RequestOutcome outcome = request.Verb switch
        {
            "checkpoint" => await loop.AskAsync(RequestVerb.Checkpoint, (intent, _) => intent with { Checkpoint = true }, token),
            "failover" => await loop.AskAsync(RequestVerb.Failover,
                (intent, status) => intent with { Failover = (request.Failover ?? new FailoverRequest(0)) with { OfTerm = status.Term } }, token),
            "switchover" => await loop.AskAsync(RequestVerb.Switchover,
                (intent, status) => intent with { SwitchOverTo = request.To ?? status.CurrentSecondary }, token),
            _ => new RequestOutcome(false, $"no request '{request.Verb}'"),
        };
        return new ControlReply(outcome.Done, outcome.Message) { Volumes = [new VolumeReport(loop.Latest, loop.Events.Latest)] };
    }

    private VolumeLoop? Find(string? name, out string fault)
    {
        string known = string.Join(", ", loops.Keys);
        fault = name is null ? $"which volume? There are: {known}" : $"no volume '{name}'; there are: {known}";
        return name is null
            ? loops.Count == 1 ? loops.Values.Single() : null
            : loops.GetValueOrDefault(name);
    }

    private async Task KeepAgentsAsync(CancellationToken token)
    {
        while (true)
        {
            await Task.Delay(AgentCheck, time, token);
            foreach (LocalAgent agent in state.RestartAgents ? state.Agents : [])
            {
                AgentProcess process = new(layout, agent);
                if (process.Pid is null)
                {
                    await log.WriteLineAsync($"{time.GetUtcNow():O} the agent of {agent.Node} is gone; starting it");
                    process.Start(AgentBinary.Find(), state.Pools);
                }
            }
        }
    }
}
