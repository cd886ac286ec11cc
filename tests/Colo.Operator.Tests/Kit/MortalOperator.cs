using Colo.AgentApi;
using Colo.Driver;
using Colo.Kubernetes;
using Colo.Operator.Hosting;
using Colo.Testing;
using Grpc.Core;
using k8s;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Colo.Operator.Tests.Kit;

/// <summary>
/// An operator that dies after so many steps that changed something outside of it: a write of a volume, or a call to an agent. The step is
/// done, and the operator never learns of it. What is dead does nothing any more.
/// </summary>
internal sealed class MortalOperator : IAsyncDisposable
{
    private readonly WebApplication app;

    private MortalOperator(WebApplication app, Mortality mortality) => (this.app, Mortality) = (app, mortality);

    public Mortality Mortality { get; }

    public static async Task<MortalOperator> StartAsync(ColoCluster cluster, int steps)
    {
        Mortality mortality = new(steps);
        string[] arguments = cluster.OperatorArguments($"--metrics-listen=127.0.0.1:{LoopbackPort.FindFree()}");
        WebApplication app = OperatorHost.Build(arguments, services =>
        {
            services.AddSingleton<IKubernetes>(_ => KubernetesConnection.Open(
                KubernetesConnection.FindConfiguration(cluster.OperatorKubeconfig), new MortalHandler(mortality)));
            services.AddSingleton<IAgents>(s => new MortalAgents(s.GetRequiredService<AgentFeed>(), mortality));
        });
        await app.StartAsync();
        return new(app, mortality);
    }

    public async ValueTask DisposeAsync()
    {
        Mortality.Kill();
        using CancellationTokenSource now = new(TimeSpan.FromSeconds(2));
        try
        {
            await app.StopAsync(now.Token);
        }
        catch (OperationCanceledException)
        {
            // A dead one does not shut down in order.
        }

        await app.DisposeAsync();
    }
}

/// <summary>Counts steps, and holds for ever whoever comes after the last.</summary>
internal sealed class Mortality(int steps)
{
    private readonly TaskCompletionSource died = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int left = steps;

    public Task Died => died.Task;

    public string LastStep { get; private set; } = "";

    public void Kill() => died.TrySetResult();

    public async Task<T> StepAsync<T>(string name, Func<Task<T>> step, CancellationToken token)
    {
        await HoldIfDeadAsync(token);
        T done = await step();
        if (Interlocked.Decrement(ref left) == 0)
        {
            LastStep = name;
            Kill();
        }

        await HoldIfDeadAsync(token);
        return done;
    }

    public async Task HoldIfDeadAsync(CancellationToken token)
    {
        if (died.Task.IsCompleted)
        {
            await Task.Delay(Timeout.Infinite, token);
        }
    }
}

internal sealed class MortalHandler(Mortality mortality) : DelegatingHandler
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (request.Method != HttpMethod.Get && request.RequestUri!.AbsolutePath.Contains("/replicatedvolumes/", StringComparison.Ordinal))
        {
            string name = $"{request.Method} {request.RequestUri.AbsolutePath}";
            return await mortality.StepAsync(name, () => base.SendAsync(request, cancellationToken), cancellationToken);
        }

        await mortality.HoldIfDeadAsync(cancellationToken);
        return await base.SendAsync(request, cancellationToken);
    }
}

internal sealed class MortalAgents(AgentFeed feed, Mortality mortality) : IAgents
{
    public bool AnnouncesChanges => feed.AnnouncesChanges;

    public IReadOnlyCollection<string> NodesOf(string uid) => feed.NodesOf(uid);

    public Task<IReadOnlyList<AgentSight>> LookAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) =>
        feed.LookAsync(uid, nodes, token);

    public Task<IReadOnlyList<AgentSight>> AskAsync(string uid, IReadOnlyCollection<string> nodes, CancellationToken token) =>
        feed.AskAsync(uid, nodes, token);

    public Colo.AgentApi.Agent.AgentClient Client(string node) => new MortalClient(feed.Client(node), mortality);
}

internal sealed class MortalClient(Colo.AgentApi.Agent.AgentClient inner, Mortality mortality) : Colo.AgentApi.Agent.AgentClient
{
    public override AsyncUnaryCall<StatusReply> StatusAsync(StatusRequest request, CallOptions options) => inner.StatusAsync(request, options);

    public override AsyncUnaryCall<PrepareReply> PrepareAsync(PrepareRequest request, CallOptions options) =>
        Step("Prepare", () => inner.PrepareAsync(request, options), options);

    public override AsyncUnaryCall<VolumeStatus> StartAsync(StartRequest request, CallOptions options) =>
        Step("Start", () => inner.StartAsync(request, options), options);

    public override AsyncUnaryCall<CheckpointReply> CheckpointAsync(CheckpointRequest request, CallOptions options) =>
        Step("Checkpoint", () => inner.CheckpointAsync(request, options), options);

    public override AsyncUnaryCall<VolumeStatus> StopAsync(StopRequest request, CallOptions options) =>
        Step("Stop", () => inner.StopAsync(request, options), options);

    public override AsyncUnaryCall<VolumeStatus> AttachSecondaryAsync(AttachSecondaryRequest request, CallOptions options) =>
        Step("AttachSecondary", () => inner.AttachSecondaryAsync(request, options), options);

    public override AsyncUnaryCall<VolumeStatus> DetachSecondaryAsync(DetachSecondaryRequest request, CallOptions options) =>
        Step("DetachSecondary", () => inner.DetachSecondaryAsync(request, options), options);

    public override AsyncUnaryCall<ReleaseReply> ReleaseAsync(ReleaseRequest request, CallOptions options) =>
        Step("Release", () => inner.ReleaseAsync(request, options), options);

    public override AsyncUnaryCall<DeleteReply> DeleteAsync(DeleteRequest request, CallOptions options) =>
        Step("Delete", () => inner.DeleteAsync(request, options), options);

    private AsyncUnaryCall<T> Step<T>(string name, Func<AsyncUnaryCall<T>> call, CallOptions options) => new(
        mortality.StepAsync(name, async () => await call(), options.CancellationToken),
        Task.FromResult(new Metadata()), () => Grpc.Core.Status.DefaultSuccess, () => [], () => { });
}
