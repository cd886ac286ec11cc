using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Nbd.Server;
using Colo.Simulation.Engine;
using Colo.Simulation.World;
using Grpc.Core;

namespace Colo.Simulation.Agents;

/// <summary>One life of an agent: its process, its listeners, its volume. Killed, never disposed, except by a restart in order.</summary>
internal sealed class SimAgent
{
    public const string ReplicationPort = "replication";

    private readonly AgentParts parts;
    private readonly NbdServer server;

    private SimAgent(AgentParts parts)
    {
        this.parts = parts;
        SimExports exports = new();
        Volume = new(parts, exports);
        server = new NbdServer(ServerOptions(parts), exports, time: parts.Process.Time);
        parts.Network.Listen(parts.Process, parts.Node, ReplicationPort, stream => _ = server.Serve(stream, new NbdPeer(stream.PeerNode)));
    }

    public SimProcess Process => parts.Process;

    public SimVolume Volume { get; }

    public bool IsStopping { get; private set; }

    public static SimAgent Start(SimWorld world, Machine machine)
    {
        SimProcess process = world.NewProcess($"agent-{machine.Node}");
        SimAgent agent = new(new AgentParts(process, machine, world));
        machine.Agent = agent;
        world.Own(process, agent.Volume.AdoptAsync());
        return agent;
    }

    public static NbdServerOptions ServerOptions(AgentParts parts) =>
        new() { Threads = parts.Process.Threads, ReceiveBufferBytes = 64 << 10, MaxRequestsInFlight = parts.Profile.ServerRequests };

    /// <summary>As a restart or an upgrade ends it.</summary>
    public async Task EndInOrderAsync()
    {
        IsStopping = true;
        await Volume.CloseAsync();
        await server.StopAsync(AgentParts.Drain);
    }

    public StatusReply Status()
    {
        StatusReply reply = new()
        {
            Node = new NodeStatus
            {
                Node = parts.Node,
                ReplicationAddress = parts.Node,
                Instance = parts.Process.Name,
                BootId = parts.Machine.Boot.ToString(System.Globalization.CultureInfo.InvariantCulture),
                Stopping = IsStopping,
            },
        };
        reply.Node.Pools.Add(new PoolStatus
        {
            Name = "default",
            Healthy = !parts.Machine.Disk.Hangs,
            Message = parts.Machine.Disk.Hangs ? "the probe does not come back" : "",
            FreeBytes = 1L << 40,
        });
        if (Volume.HasReplica)
        {
            reply.Volumes.Add(Volume.Status());
        }

        return reply;
    }

    /// <summary>One call, as the agent's gRPC service makes it.</summary>
    public async Task<object> HandleAsync(object request, CancellationToken token)
    {
        try
        {
            switch (request)
            {
                case StatusRequest:
                    return Status();
                case PrepareRequest prepare:
                    bool created = await Volume.PrepareAsync(prepare, token);
                    return new PrepareReply { Status = Volume.Status(), Created = created };
                case StartRequest start:
                    await Volume.StartAsync(start, token);
                    return Volume.Status();
                case CheckpointRequest checkpoint:
                    return await Volume.CheckpointAsync(checkpoint.Volume.Term, token);
                case StopRequest stop:
                    await Volume.StopAsync(stop, token);
                    return Volume.Status();
                case AttachSecondaryRequest attach:
                    await Volume.AttachAsync(attach, token);
                    return Volume.Status();
                case DetachSecondaryRequest detach:
                    await Volume.DetachAsync(detach.Volume.Term, token);
                    return Volume.Status();
                case ReleaseRequest release:
                    await Volume.ReleaseAsync(release.Volume.Term, token);
                    return new ReleaseReply();
                case DeleteRequest delete:
                    await Volume.DeleteAsync(delete.Volume.Term, token);
                    return new DeleteReply();
                default:
                    throw new NotSupportedException(request.GetType().Name);
            }
        }
        catch (VolumeFaultException e)
        {
            throw new RpcException(new Status(CodeOf(e.Kind), e.Message));
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or Colo.Nbd.Client.NbdClientException)
        {
            throw new RpcException(new Status(StatusCode.Unavailable, e.Message));
        }
    }

    private static StatusCode CodeOf(VolumeFaultKind kind) => kind switch
    {
        VolumeFaultKind.NotFound => StatusCode.NotFound,
        VolumeFaultKind.AlreadyExists => StatusCode.AlreadyExists,
        VolumeFaultKind.Unavailable => StatusCode.Unavailable,
        VolumeFaultKind.InvalidArgument => StatusCode.InvalidArgument,
        VolumeFaultKind.Failed or VolumeFaultKind.Damaged => StatusCode.Internal,
        _ => StatusCode.FailedPrecondition,
    };
}
