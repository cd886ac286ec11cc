using System.Globalization;
using Colo.AgentApi;
using Colo.Driver;
using Colo.Testing.Local;

namespace Colo.Benchmarks.Stacks;

/// <summary>
/// Ours, as it is used: two agents set up by `coloctl local`, replicating over TCP. Checkpoints are asked for over gRPC, as the
/// operator does, so that the start of a command line is not measured.
/// </summary>
internal sealed class ColoReplicatedStack : IReplicatedStack
{
    private readonly ColoLocal local;
    private readonly AgentConnection primary;
    private readonly AgentConnection secondary;
    private readonly VolumeRef volume;

    private ColoReplicatedStack(ColoLocal local, AgentConnection primary, AgentConnection secondary, VolumeRef volume)
    {
        this.local = local;
        this.primary = primary;
        this.secondary = secondary;
        this.volume = volume;
        Target = new NbdTarget(local.GuestSocket, local.GuestExport);
        ServerPids = [local.AgentPid(local.Primary), local.AgentPid(local.Secondary)];
    }

    public string Name => StackRecipes.Ours;

    public NbdTarget Target { get; }

    public IReadOnlyList<int> ServerPids { get; }

    public bool NeedsStoppedGuest => false;

    public static async Task<ColoReplicatedStack> LaunchAsync(StackPlace place)
    {
        // Checkpoints only when the benchmark asks; the buffer lies in memory, as QEMU's does here.
        ColoLocal local = await ColoLocal.UpAsync(place.Directory, place.LengthBytes, string.Create(
            CultureInfo.InvariantCulture,
            $$"""
              buffer: {medium: Memory, sizeLimit: {{Math.Max(place.LengthBytes * 3 >> 20, 64)}}Mi}
              checkpoint: {interval: 0}
              failover: {policy: Manual, recoveryPoint: LatestWrite}
            """));
        AgentConnection primary = new("unix:" + Path.Combine(local.RunDirectory, local.Primary, "grpc.sock"));
        VolumeStatus status = (await primary.Client.StatusAsync(new StatusRequest())).Volumes.Single();
        return new ColoReplicatedStack(
            local,
            primary,
            new AgentConnection("unix:" + Path.Combine(local.RunDirectory, local.Secondary, "grpc.sock")),
            new VolumeRef { Uid = status.Uid, Term = status.Term });
    }

    public async Task CheckpointAsync() => await primary.Client.CheckpointAsync(new CheckpointRequest { Volume = volume });

    public long BufferBytes() => secondary.Client.Status(new StatusRequest { Uid = volume.Uid }).Volumes.Single().BufferedBytes;

    public async ValueTask DisposeAsync()
    {
        primary.Dispose();
        secondary.Dispose();
        await local.DisposeAsync();
    }
}
