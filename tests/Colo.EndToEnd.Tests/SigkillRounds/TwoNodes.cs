using System.Globalization;
using System.Text.RegularExpressions;
using Colo.AgentApi;
using Colo.Api;
using Colo.Cli.Local;
using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>The two agent processes and the control loop of one `coloctl local` installation, without the cost of a command a step.</summary>
internal sealed partial class TwoNodes
{
    /// <summary>A hang detector, as the writer's.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    private readonly LocalLayout layout;
    private readonly LocalState state;
    private readonly LocalVolume volume;
    private readonly ControlClient control;
    private readonly VolumeRecordFile record;

    public TwoNodes(LocalLayout layout)
    {
        this.layout = layout;
        state = LocalState.LoadRequired(layout);
        volume = state.Volumes.Single();
        control = new ControlClient(layout);
        record = new VolumeRecordFile(layout.Records, volume.Uid);
    }

    public string Uid => volume.Uid;

    /// <summary>Who may write, as the arbiter has it.</summary>
    public VolumeRecord Record => record.Read().ShouldNotBeNull();

    public string Disk(string node) => Path.Combine(layout.Pool(node, volume.Manifest.Spec.StoragePool), Uid, "disk.raw");

    public string Buffers(string node) => Path.Combine(layout.AgentMemoryBuffers(node), node, Uid);

    /// <summary>SIGKILL; returns when the process is gone.</summary>
    public async Task KillAsync(string node) => (await Agent(node).KillAsync(CancellationToken.None)).ShouldBeTrue($"{node}'s agent had ended by itself");

    public async Task StartAsync(string node)
    {
        AgentProcess agent = Agent(node);
        agent.Start(Built.Program("Colo.Agent", "colo-agent"), state.Pools);
        await agent.WaitUntilAnsweringAsync(CancellationToken.None);
    }

    public async Task CheckpointAsync() => await control.TryAskAsync(new ControlRequest("checkpoint"), CancellationToken.None);

    public async Task<ReplicatedVolumeStatus> StatusAsync() =>
        (await control.AskAsync(new ControlRequest("status"), CancellationToken.None)).Volumes.Single().Volume.Status!;

    /// <summary>And nothing is being copied: after a restart in sync, what was in flight is made equal behind the guest's back.</summary>
    public async Task UntilProtectedAsync()
    {
        using CancellationTokenSource limit = new(Patience);
        ReplicatedVolumeStatus status;
        while ((status = await StatusAsync()) is not { Phase: VolumePhase.Protected, Resync: null }
            || Record.SecondaryState != AgentApi.SecondaryState.InSync)
        {
            limit.IsCancellationRequested.ShouldBeFalse($"still {status.Phase} after {Patience}: {status.Message}; {Record}");
            await Task.Delay(TimeSpan.FromMilliseconds(30));
        }
    }

    /// <summary>The completed resyncs of both nodes, as their agents' logs tell of them: mode and bytes copied.</summary>
    public IReadOnlyList<(string Mode, long Bytes)> Resyncs() =>
        [.. from node in state.Nodes
            from Match told in CompletedResync().Matches(File.ReadAllText(layout.AgentLog(node)))
            select (told.Groups[1].Value, long.Parse(told.Groups[2].ValueSpan, CultureInfo.InvariantCulture))];

    /// <summary>What everybody said lately; kept for whoever has to explain a failure.</summary>
    public void SaveLogs(string directory)
    {
        Directory.CreateDirectory(directory);
        File.Copy(layout.ControlLog, Path.Combine(directory, "control.log"), overwrite: true);
        File.Copy(record.Path, Path.Combine(directory, "record"), overwrite: true);
        foreach (string node in state.Nodes)
        {
            File.Copy(layout.AgentLog(node), Path.Combine(directory, node + ".log"), overwrite: true);
        }
    }

    [GeneratedRegex(@"resync (\w+) of (\d+) bytes ended: Completed")]
    private static partial Regex CompletedResync();

    private AgentProcess Agent(string node) => new(layout, state.Agents.Single(a => a.Node == node));
}
