using System.Diagnostics;
using Colo.Kubernetes.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;
using k8s.Models;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Kubernetes.Tests;

public sealed class LeaderElectionTests(KubeApiServerFixture kube) : IDisposable
{
    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan RenewDeadline = TimeSpan.FromSeconds(2.5);

    private readonly k8s.Kubernetes client = Cluster.Connect(kube.Server);

    public void Dispose() => client.Dispose();

    [Fact]
    public async Task A_leader_that_is_cut_off_stops_before_the_next_one_begins()
    {
        string ns = await kube.NewNamespaceAsync();
        await using Forwarder forwarder = new(kube.Server.Address);
        using k8s.Kubernetes through = Cluster.Connect(kube.Server, forwarder.Address);
        await using Candidate first = new(through, ns, "first", TimeProvider.System);
        await Eventually.TrueAsync(() => first.Acts > 0, "the first leads");
        await using Candidate second = new(client, ns, "second", TimeProvider.System);
        await Eventually.TrueAsync(async () => (await LeaseAsync(ns)).Spec.RenewTime > (await LeaseAsync(ns)).Spec.AcquireTime, "it renews");
        second.Acts.ShouldBe(0);

        long cut = Stopwatch.GetTimestamp();
        forwarder.Cut();
        await Eventually.TrueAsync(() => second.Acts > 0, "the second takes over");
        first.LostReason.ShouldNotBeNull("the callback that ends the process was called");
        first.IsLeader.ShouldBeFalse();
        first.LastAct.ShouldBeLessThan(second.FirstAct, "never two at once");
        Stopwatch.GetElapsedTime(cut, first.LastAct).ShouldBeLessThan(RenewDeadline);
        await Should.ThrowAsync<LeadershipLostException>(first.Running);

        forwarder.Heal();
        int acts = first.Acts;
        int more = second.Acts + 20;
        await Eventually.TrueAsync(() => second.Acts >= more, "the second goes on");
        first.Acts.ShouldBe(acts, "leadership does not come back to who lost it");
        V1LeaseSpec lease = (await LeaseAsync(ns)).Spec;
        lease.HolderIdentity.ShouldBe("second");
        lease.LeaseTransitions.ShouldBe(1);
    }

    [Fact]
    public async Task A_silent_network_ends_leadership_as_a_closed_one_does()
    {
        string ns = await kube.NewNamespaceAsync();
        await using Forwarder forwarder = new(kube.Server.Address);
        using k8s.Kubernetes through = Cluster.Connect(kube.Server, forwarder.Address);
        await using Candidate only = new(through, ns, "only", TimeProvider.System);
        await Eventually.TrueAsync(() => only.Acts > 0, "it leads");
        forwarder.Silence();
        await Eventually.TrueAsync(() => only.LostReason is not null, "it gives up");
        only.IsLeader.ShouldBeFalse();
    }

    [Fact]
    public async Task A_leader_that_was_frozen_past_its_deadline_knows_it_before_anything_else()
    {
        string ns = await kube.NewNamespaceAsync();
        JumpingTime time = new();
        await using Candidate only = new(client, ns, "only", time);
        await Eventually.TrueAsync(() => only.Acts > 0, "it leads");
        only.IsLeader.ShouldBeTrue();
        time.Jump(Duration);
        only.IsLeader.ShouldBeFalse("by the clock, whatever no task had time to notice");
        await Eventually.TrueAsync(() => only.LostReason is not null, "and the process is ended");
    }

    [Fact]
    public async Task A_graceful_end_lets_the_next_one_begin_without_waiting_and_after_the_work_ended()
    {
        string ns = await kube.NewNamespaceAsync();
        LeaderElectionOptions patient = Options(ns, "first") with { LeaseDuration = TimeSpan.FromHours(1), RenewDeadline = TimeSpan.FromMinutes(10) };
        Candidate first = new(client, patient, TimeProvider.System);
        await Eventually.TrueAsync(() => first.Acts > 0, "the first leads");
        await using Candidate second = new(client, patient with { Identity = "second" }, TimeProvider.System);
        await first.DisposeAsync();
        first.LostReason.ShouldBeNull();
        await Eventually.TrueAsync(() => second.Acts > 0, "long before an hour");
        first.LastAct.ShouldBeLessThan(second.FirstAct);
    }

    [Fact]
    public async Task The_age_that_a_Lease_claims_counts_for_nothing()
    {
        string ns = await kube.NewNamespaceAsync();
        JsonObject ancient = new()
        {
            ["apiVersion"] = "coordination.k8s.io/v1",
            ["kind"] = "Lease",
            ["metadata"] = new JsonObject { ["name"] = "colo" },
            ["spec"] = new JsonObject
            {
                ["holderIdentity"] = "somebody whose clock is wrong",
                ["leaseDurationSeconds"] = 4,
                ["renewTime"] = "2001-01-01T00:00:00.000000Z",
            },
        };
        await new ResourceClient<V1Lease>(client, ResourceTypes.Leases).CreateAsync(ns, ancient, default);
        long start = Stopwatch.GetTimestamp();
        await using Candidate candidate = new(client, ns, "patient", TimeProvider.System);
        await Eventually.TrueAsync(() => candidate.Acts > 0, "it takes over");
        Stopwatch.GetElapsedTime(start, candidate.FirstAct).ShouldBeGreaterThan(Duration, "only after it saw it unchanged for that long");
    }

    [Fact]
    public async Task A_Lease_that_somebody_labels_or_deletes_makes_no_second_leader()
    {
        string ns = await kube.NewNamespaceAsync();
        await using Candidate first = new(client, ns, "first", TimeProvider.System);
        await Eventually.TrueAsync(() => first.Acts > 0, "the first leads");
        await using Candidate second = new(client, ns, "second", TimeProvider.System);
        await kube.Admin.OutputAsync("label", "lease", "colo", "-n", ns, "touched=yes");
        await Eventually.TrueAsync(
            async () => (await LeaseAsync(ns)) is { Metadata.Labels: { } labels } lease && labels.ContainsKey("touched")
                && lease.Spec.RenewTime > lease.Metadata.CreationTimestamp, "it renews a labelled Lease, and keeps the label");
        await kube.Admin.OutputAsync("delete", "lease", "colo", "-n", ns);
        await Eventually.TrueAsync(
            async () => (await kube.Admin.OutputAsync("get", "lease", "-n", ns, "-o", "name")).Contains("colo", StringComparison.Ordinal),
            "made again");
        int more = first.Acts + 50;
        await Eventually.TrueAsync(() => first.Acts >= more, "the first goes on");
        second.Acts.ShouldBe(0);
        first.LostReason.ShouldBeNull();
    }

    [Fact]
    public async Task One_of_many_that_start_together_leads()
    {
        string ns = await kube.NewNamespaceAsync();
        Candidate[] all = [.. Enumerable.Range(0, 5).Select(i => new Candidate(client, ns, $"candidate-{i}", TimeProvider.System))];
        await Eventually.TrueAsync(() => all.Any(c => c.Acts > 50), "one leads");
        all.Count(c => c.Acts > 0).ShouldBe(1);
        foreach (Candidate candidate in all)
        {
            await candidate.DisposeAsync();
        }
    }

    [Fact]
    public async Task Who_finds_its_own_name_on_the_Lease_was_started_again_and_takes_it_at_once()
    {
        string ns = await kube.NewNamespaceAsync();
        await new ResourceClient<V1Lease>(client, ResourceTypes.Leases).CreateAsync(
            ns,
            new JsonObject
            {
                ["apiVersion"] = "coordination.k8s.io/v1",
                ["kind"] = "Lease",
                ["metadata"] = new JsonObject { ["name"] = "colo", ["namespace"] = ns },
                ["spec"] = new JsonObject { ["holderIdentity"] = "pod", ["leaseDurationSeconds"] = 3600 },
            },
            default);
        await using Candidate other = new(client, ns, "other-pod", TimeProvider.System);
        await using Candidate again = new(client, ns, "pod", TimeProvider.System);
        await Eventually.TrueAsync(() => again.Acts > 0, "it leads again");
        other.Acts.ShouldBe(0);
    }

    [Fact]
    public async Task A_holder_of_whose_end_there_is_other_evidence_is_replaced_long_before_its_Lease_is_over()
    {
        string ns = await kube.NewNamespaceAsync();
        await using Forwarder forwarder = new(kube.Server.Address);
        using k8s.Kubernetes through = Cluster.Connect(kube.Server, forwarder.Address);
        await using Candidate first = new(through, LongOptions(ns, "first"), TimeProvider.System);
        await Eventually.TrueAsync(() => first.Acts > 0, "the first leads");
        await using Candidate knowing = new(client, LongOptions(ns, "knowing") with { IsHolderGone = (holder, _) => holder == "first" }, TimeProvider.System);
        await using Candidate waiting = new(client, LongOptions(ns, "waiting"), TimeProvider.System);

        // While it renews, no evidence against it counts.
        for (int i = 0; i < 5; i++)
        {
            DateTime? renewed = (await LeaseAsync(ns)).Spec.RenewTime;
            await Eventually.TrueAsync(async () => (await LeaseAsync(ns)).Spec.RenewTime > renewed, "it renews");
        }

        knowing.Acts.ShouldBe(0);

        forwarder.Cut();
        await Eventually.TrueAsync(() => knowing.Acts + waiting.Acts > 0, "somebody takes over");
        (await LeaseAsync(ns)).Spec.HolderIdentity.ShouldBe("knowing");
        await Eventually.TrueAsync(() => first.LostReason is not null, "who was given up wrongly gives up too");
    }

    [Fact]
    public void Times_that_would_let_two_lead_are_refused() =>
        Should.Throw<ArgumentException>(() => new LeaderElectionService(
            client, Options("ns", "x") with { RenewDeadline = Duration }, TimeProvider.System, NullLogger.Instance));

    private static LeaderElectionOptions Options(string ns, string identity) => new()
    {
        Namespace = ns,
        Name = "colo",
        Identity = identity,
        LeaseDuration = Duration,
        RenewDeadline = RenewDeadline,
        RetryPeriod = TimeSpan.FromSeconds(0.5),
    };

    /// <summary>A third of the duration is still many renewals.</summary>
    private static LeaderElectionOptions LongOptions(string ns, string identity) =>
        Options(ns, identity) with { LeaseDuration = TimeSpan.FromSeconds(15), RenewDeadline = TimeSpan.FromSeconds(10) };

    private async Task<V1Lease> LeaseAsync(string ns) =>
        (await new ResourceClient<V1Lease>(client, ResourceTypes.Leases).GetAsync(new ObjectKey(ns, "colo"), default)).Value;

    /// <summary>A candidate whose work is to act every few milliseconds, each time asking first whether it leads.</summary>
    private sealed class Candidate : IAsyncDisposable
    {
        private readonly CancellationTokenSource stop = new();
        private readonly LeaderElectionService election;
        private readonly Task running;
        private int acts;
        private long firstAct;
        private long lastAct;

        public Candidate(k8s.Kubernetes client, string ns, string identity, TimeProvider time)
            : this(client, Options(ns, identity), time)
        {
        }

        public Candidate(k8s.Kubernetes client, LeaderElectionOptions options, TimeProvider time)
        {
            election = new LeaderElectionService(client, options, time, NullLogger.Instance, reason => LostReason = reason);
            running = election.RunAsync(ActAsync, stop.Token);
        }

        public string? LostReason { get; private set; }

        public bool IsLeader => election.IsLeader;

        public int Acts => Volatile.Read(ref acts);

        public long FirstAct => Volatile.Read(ref firstAct);

        public long LastAct => Volatile.Read(ref lastAct);

        public Task Running() => running;

        public async ValueTask DisposeAsync()
        {
            await stop.CancelAsync();
            try
            {
                await running;
            }
            catch (LeadershipLostException)
            {
                // Told by LostReason.
            }

            stop.Dispose();
        }

        private async Task ActAsync(CancellationToken token)
        {
            while (!token.IsCancellationRequested)
            {
                // Before it asks: this act was then within the deadline, however long the scheduler takes afterwards.
                long now = Stopwatch.GetTimestamp();
                if (election.IsLeader)
                {
                    Interlocked.CompareExchange(ref firstAct, now, 0);
                    Volatile.Write(ref lastAct, now);
                    Interlocked.Increment(ref acts);
                }

                await Task.Delay(5, CancellationToken.None);
            }
        }
    }

    /// <summary>The system's clock, and a jump: what a process sees that was stopped and continued.</summary>
    private sealed class JumpingTime : TimeProvider
    {
        private long ahead;

        public override long GetTimestamp() => base.GetTimestamp() + Volatile.Read(ref ahead);

        public void Jump(TimeSpan by) => Volatile.Write(ref ahead, (long)(by.TotalSeconds * TimestampFrequency));
    }
}
