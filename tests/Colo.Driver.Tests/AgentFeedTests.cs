using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Colo.AgentApi;
using Colo.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Colo.Driver.Tests;

public sealed class AgentFeedTests
{
    private const string Uid = "0f6ee35e-2bd6-4cb6-a9e5-0000000feed0";

    [Fact]
    public async Task An_agent_that_is_killed_falls_silent_and_is_heard_again_when_it_returns()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using RealAgent agent = await RealAgent.StartAsync("node-a", directory);
        ConcurrentQueue<AgentChange> changes = new();
        await using AgentFeed feed = NewFeed();
        feed.Changed += changes.Enqueue;
        feed.Set("node-a", agent.Address);
        await Eventually.TrueAsync(() => feed.Describe("node-a").Answers, "heard");
        feed.Describe("node-a").Status!.Pools.ShouldHaveSingleItem().Healthy.ShouldBeTrue();

        changes.Clear();
        await agent.KillAsync();
        await Eventually.TrueAsync(() => changes.Contains(new AgentChange("node-a", null)) && !feed.Describe("node-a").Answers, "its silence is announced");
        await Eventually.TrueAsync(() => feed.Describe("node-a").SilentFor > TimeSpan.FromSeconds(1), "silence grows");
        await agent.StartAsync();
        await Eventually.TrueAsync(() => feed.Describe("node-a").Answers, "heard again");
        feed.Describe("node-a").SilentFor.ShouldBe(TimeSpan.Zero);
    }

    [Fact]
    public async Task A_frozen_agent_keeps_its_connection_and_is_silent_all_the_same()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using RealAgent agent = await RealAgent.StartAsync("node-a", directory);
        await using AgentFeed feed = NewFeed();
        feed.Set("node-a", agent.Address);
        await Eventually.TrueAsync(() => feed.Describe("node-a").Answers, "heard");

        await agent.SignalAsync("STOP");
        await Eventually.TrueAsync(() => !feed.Describe("node-a").Answers, "silent");
        feed.Describe("node-a").SilentFor.ShouldBeGreaterThan(TimeSpan.FromSeconds(1), "silence counts from its last word, not from when it was noticed");
        await agent.SignalAsync("CONT");
        await Eventually.TrueAsync(() => feed.Describe("node-a").Answers, "heard again");
    }

    [Fact]
    public async Task A_volume_that_appears_changes_and_goes_is_announced()
    {
        using TempDirectory directory = new(onTmpfs: true);
        await using RealAgent agent = await RealAgent.StartAsync("node-a", directory);
        ConcurrentQueue<AgentChange> changes = new();
        await using AgentFeed feed = NewFeed();
        feed.Changed += changes.Enqueue;
        feed.Set("node-a", agent.Address);
        await Eventually.TrueAsync(() => feed.Describe("node-a").Answers, "heard");

        new VolumeRecordFile(directory.File("records"), Uid).TryCreate(new(Uid, 1, "node-a", "", SecondaryState.None)).Done.ShouldBeTrue();
        await agent.Connection.Client.PrepareAsync(new PrepareRequest
        {
            Volume = new VolumeRef { Uid = Uid, Term = 1 }, Name = "v", Namespace = "test", Role = Role.Primary, SizeBytes = 4 << 20,
        });
        await Eventually.TrueAsync(() => feed.NodesOf(Uid).Contains("node-a") && changes.Contains(new AgentChange("node-a", Uid)), "seen");
        (await feed.LookAsync(Uid, ["node-a"], CancellationToken.None)).Single().Volume!.Role.ShouldBe(Role.Primary);

        changes.Clear();
        await agent.Connection.Client.DeleteAsync(new DeleteRequest { Volume = new VolumeRef { Uid = Uid, Term = 1 } });
        await Eventually.TrueAsync(() => feed.NodesOf(Uid).Count == 0 && changes.Contains(new AgentChange("node-a", Uid)), "gone");
    }

    [Fact]
    public async Task A_node_that_is_heard_of_elsewhere_is_not_silent_for_long_and_does_not_answer_either()
    {
        await using AgentFeed feed = NewFeed();
        feed.Set("node-a", "unix:/nowhere/grpc.sock");
        await Eventually.TrueAsync(
            () => feed.Describe("node-a") is { Fault: not null } node && node.SilentFor > TimeSpan.FromSeconds(5), "silence grows from when it was first told of");

        feed.HeardFrom("node-a");

        AgentSight sight = (await feed.LookAsync(Uid, ["node-a"], CancellationToken.None)).Single();
        sight.SilentFor.ShouldBeLessThan(TimeSpan.FromSeconds(5));
        sight.Answers.ShouldBeFalse();
    }

    [Fact]
    public async Task A_node_whose_Lease_says_that_it_was_told_to_end_is_known_to_have_left_in_order_until_it_says_otherwise()
    {
        await using AgentFeed feed = NewFeed();
        feed.Set("node-a", "unix:/nowhere/grpc.sock");

        feed.HeardWhetherStopping("node-a", true);
        (await feed.LookAsync(Uid, ["node-a"], CancellationToken.None)).Single().WasStopping.ShouldBeTrue();

        feed.HeardWhetherStopping("node-a", false);
        (await feed.LookAsync(Uid, ["node-a"], CancellationToken.None)).Single().WasStopping.ShouldBeFalse();
    }

    [Fact]
    public async Task A_node_that_nobody_told_of_is_silent_only_since_it_was_asked_for()
    {
        await using AgentFeed feed = NewFeed();

        (await feed.LookAsync(Uid, ["node-x"], CancellationToken.None)).Single().SilentFor.ShouldBeLessThan(TimeSpan.FromSeconds(30));
        Should.Throw<Grpc.Core.RpcException>(() => feed.Client("node-x")).StatusCode.ShouldBe(Grpc.Core.StatusCode.Unavailable);
    }

    [Fact]
    public async Task An_agent_of_the_version_before_sends_no_heartbeats_and_is_polled()
    {
        await using FakeAgent old = await FakeAgent.StartAsync(apiLevel: 0);
        await using AgentFeed feed = NewFeed(new AgentFeedOptions { PollInterval = TimeSpan.FromMilliseconds(50) });
        feed.Set("node-a", old.Address);

        await Eventually.TrueAsync(() => old.Service.Polls > 5 && feed.Describe("node-a").Answers, "polled");
        old.Service.Volumes = [new VolumeStatus { Uid = Uid, Role = Role.Secondary }];
        await Eventually.TrueAsync(() => feed.NodesOf(Uid).Contains("node-a"), "its volume is seen");
        old.Service.Volumes = [];
        await Eventually.TrueAsync(() => feed.NodesOf(Uid).Count == 0, "and that it is gone");
        old.Service.Streams.ShouldBe(0);
    }

    [Fact]
    public async Task An_agent_without_a_stream_to_spare_is_polled()
    {
        await using FakeAgent busy = await FakeAgent.StartAsync(apiLevel: 2);
        busy.Service.NoStreamLeft = true;
        await using AgentFeed feed = NewFeed(new AgentFeedOptions { PollInterval = TimeSpan.FromMilliseconds(20) });
        feed.Set("node-a", busy.Address);

        await Eventually.TrueAsync(() => busy.Service.Polls > 5 && busy.Service.Streams > 0 && feed.Describe("node-a").Answers, "polled");
        busy.Service.NoStreamLeft = false;
        int tried = busy.Service.Streams;
        await Eventually.TrueAsync(() => busy.Service.Streams > tried, "a stream is tried again");
    }

    [Fact]
    public async Task Mutual_TLS_is_taken_up_and_a_wrong_authority_and_an_expired_certificate_are_told_in_words()
    {
        using Authority ours = new("ours");
        using Authority theirs = new("theirs");
        using X509Certificate2 good = ours.Issue("colo-agent", DateTimeOffset.UtcNow.AddDays(1));
        using X509Certificate2 expired = ours.Issue("colo-agent", DateTimeOffset.UtcNow.AddMinutes(-1));
        using X509Certificate2 foreign = theirs.Issue("colo-agent", DateTimeOffset.UtcNow.AddDays(1));
        using X509Certificate2 me = ours.Issue("colo-operator", DateTimeOffset.UtcNow.AddDays(1));
        AgentFeedOptions options = new() { Tls = new() { Certificate = () => me, Authorities = () => [ours.Certificate] } };
        using X509Certificate2 named = ours.Issue("node-n.colo-agent", DateTimeOffset.UtcNow.AddDays(1));

        await using FakeAgent trusted = await FakeAgent.StartAsync(2, good);
        await using FakeAgent late = await FakeAgent.StartAsync(2, expired);
        await using FakeAgent other = await FakeAgent.StartAsync(2, foreign);
        await using FakeAgent misnamed = await FakeAgent.StartAsync(2, me);
        await using AgentFeed feed = NewFeed(options);
        feed.Set("trusted", trusted.Address);
        feed.Set("late", late.Address);
        feed.Set("other", other.Address);
        feed.Set("misnamed", misnamed.Address);
        await using FakeAgent oneNodes = await FakeAgent.StartAsync(2, named);
        feed.Set("node-n", oneNodes.Address);
        feed.Set("node-m", oneNodes.Address);

        await Eventually.TrueAsync(() => feed.Describe("trusted").Answers, "a certificate of our authority is trusted");
        await FaultAsync(feed, "late", "not now");
        await FaultAsync(feed, "other", "is not of the authority that is trusted here");
        await FaultAsync(feed, "misnamed", "is not for misnamed: its certificate is for colo-operator; needed is colo-agent");
        await Eventually.TrueAsync(() => feed.Describe("node-n").Answers, "a certificate for one node is that node's");
        await FaultAsync(feed, "node-m", "is not for node-m: its certificate is for node-n.colo-agent");
        feed.Describe("node-m").Answers.ShouldBeFalse();
    }

    private static Task FaultAsync(AgentFeed feed, string node, string text) =>
        Eventually.TrueAsync(() => feed.Describe(node).Fault?.Contains(text, StringComparison.Ordinal) == true, $"{node}: {text}");

    private static AgentFeed NewFeed(AgentFeedOptions? options = null) => new(options ?? new AgentFeedOptions(), TimeProvider.System, NullLogger.Instance);

    private sealed class Authority : IDisposable
    {
        private readonly RSA key = RSA.Create(2048);

        public Authority(string name)
        {
            CertificateRequest request = new($"CN={name}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            Certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-3), DateTimeOffset.UtcNow.AddDays(3));
        }

        public X509Certificate2 Certificate { get; }

        public X509Certificate2 Issue(string name, DateTimeOffset until)
        {
            using RSA own = RSA.Create(2048);
            CertificateRequest request = new($"CN={name}", own, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            SubjectAlternativeNameBuilder names = new();
            names.AddDnsName(name);
            request.CertificateExtensions.Add(names.Build());
            using X509Certificate2 issued = request.Create(Certificate, DateTimeOffset.UtcNow.AddDays(-2), until, RandomNumberGenerator.GetBytes(8));
            using X509Certificate2 whole = issued.CopyWithPrivateKey(own);
            return X509CertificateLoader.LoadPkcs12(whole.Export(X509ContentType.Pkcs12), null);
        }

        public void Dispose()
        {
            Certificate.Dispose();
            key.Dispose();
        }
    }
}
