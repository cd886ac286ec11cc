using Colo.Kubernetes;
using Colo.Operator.Cluster;
using Colo.Operator.Events;
using Colo.Operator.Options;
using Colo.Operator.Tls;
using Colo.Operator.Volumes;
using k8s.Models;

namespace Colo.Operator.Hosting;

/// <summary>
/// Runs the process: watches the cluster always, works on volumes while it leads. A leader that lost its Lease ends the process; so does a
/// fault of ours in any of the loops, for a watcher that stopped would leave every volume unwatched.
/// </summary>
internal sealed class LeadingService(
    ClusterWatch cluster,
    WorkQueue queue,
    VolumeWorker worker,
    EventRecorder recorder,
    VolumeNotices notices,
    LeaderElection election,
    OperatorOptions options,
    IHostApplicationLifetime lifetime,
    TimeProvider time,
    ILogger<LeadingService> log,
    CertificateDesk? certificates = null) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        cluster.Unreadable += o => notices.Unreadable(o);
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken);
        Task watching = cluster.RunAsync(end.Token);
        Task telling = recorder.RunAsync(end.Token);
        Task leading = election.RunAsync(LeadAsync, end.Token);
        try
        {
            await await Task.WhenAny(watching, telling, leading);
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The way it ends.
        }
        catch (LeadershipLostException e)
        {
            log.LeadershipLost(options.Identity, e.Message);
            Environment.ExitCode = LeaderElectionService.LostExitCode;
        }
        finally
        {
            await end.CancelAsync();
            await Task.WhenAll(watching, telling, leading).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            lifetime.StopApplication();
        }
    }

    /// <summary>Certificates first: an agent without one is not there for anybody. Whichever ends, both do.</summary>
    private async Task LeadAsync(CancellationToken token)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(token);
        Task[] work = certificates is null ? [DriveAsync(end.Token)] : [certificates.RunAsync(end.Token), DriveAsync(end.Token)];
        try
        {
            await await Task.WhenAny(work);
        }
        finally
        {
            await end.CancelAsync();
            await Task.WhenAll(work).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }

    private async Task DriveAsync(CancellationToken token)
    {
        await cluster.Heard.WaitAsync(token);
        log.Leads(options.Identity, options.WatchNamespaces.Count == 0 ? "all namespaces" : string.Join(", ", options.WatchNamespaces));
        await new Controller(queue, worker, new ControllerOptions { Name = "replicatedvolume", Workers = options.Workers }, time, log).RunAsync(token);
    }
}
