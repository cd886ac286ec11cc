using System.Diagnostics;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Colo.AgentApi;
using Colo.Nbd.Client;
using Colo.Testing;
using Colo.Testing.Tls;
using Grpc.Core;
using Grpc.Net.Client;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

public sealed class TlsTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly TestAuthority authority = new("cluster-ca");

    [Fact]
    public async Task With_certificates_the_pair_replicates_and_a_primary_without_one_is_refused()
    {
        await using AgentPair pair = await AgentPair.StartAsync("--tls-directory", await MountedAsync("agent", TestAuthority.AgentName));
        string uid = await pair.CreateAsync("tls");
        await Guest.WriteAsync(pair.A.GuestUri(uid), 0x77, "0", "1M");
        await pair.A.Client.CheckpointAsync(new CheckpointRequest { Volume = Ref(uid, 1) });
        await Guest.ExpectAsync(pair.B.VmViewUri(uid), 0x77, "0", "1M");

        ToolResult plain = await Tool.RunAsync("qemu-img", "info", $"nbd://{pair.B.ReplicationAddress}/{uid}@1");
        plain.ExitCode.ShouldNotBe(0);
        plain.Error.ShouldContain("TLS");
    }

    [Fact]
    public async Task An_agent_takes_calls_of_the_operator_and_of_nobody_else()
    {
        (AgentUnderTest agent, int port) = await StartOverTcpAsync(await MountedAsync("agent", TestAuthority.AgentName));
        await using AgentUnderTest disposed = agent;
        using X509Certificate2 theOperator = authority.Issue(TestAuthority.OperatorName);
        using X509Certificate2 anotherAgent = authority.Issue(TestAuthority.AgentName);
        using TestAuthority foreign = new("foreign-ca");
        using X509Certificate2 stranger = foreign.Issue(TestAuthority.OperatorName);
        using X509Certificate2 late = authority.Issue(TestAuthority.OperatorName, expired: true);

        (await StatusAsync(port, theOperator)).Node.Node.ShouldBe("c");
        RpcException refused = await Should.ThrowAsync<RpcException>(() => StatusAsync(port, anotherAgent));
        refused.StatusCode.ShouldBe(StatusCode.PermissionDenied);
        refused.Status.Detail.ShouldContain("its certificate is for colo-agent; needed is colo-operator");
        foreach (X509Certificate2? unknown in new[] { null, stranger, late })
        {
            (await Should.ThrowAsync<RpcException>(() => StatusAsync(port, unknown)))
                .StatusCode.ShouldBeOneOf(StatusCode.Unavailable, StatusCode.Internal);
        }

        await Eventually.TrueAsync(() => Task.FromResult(agent.Log.Contains("foreign-ca", StringComparison.Ordinal)), "the foreign authority is named");
        await Eventually.TrueAsync(() => Task.FromResult(agent.Log.Contains("expired", StringComparison.Ordinal)), "the end of validity is named");
        (await agent.ScrapeAsync()).ShouldMatch("""colo_tls_refused_total\{node="c",where="grpc"\} [3-9]""");
    }

    [Fact]
    public async Task A_secondary_takes_agents_only_and_a_primary_writes_to_agents_only()
    {
        await using AgentPair pair = await AgentPair.StartAsync("--tls-directory", await MountedAsync("agent", TestAuthority.AgentName));
        string uid = await pair.CreateAsync("names");
        using X509Certificate2 theOperator = authority.Issue(TestAuthority.OperatorName);
        NbdClientException refused = await Should.ThrowAsync<NbdClientException>(
            () => NbdClient.ConnectAsync(ReplicationOf(pair.B, uid, theOperator, TestAuthority.AgentName)));
        refused.Message.ShouldContain("its certificate is for colo-operator; needed is colo-agent");

        using X509Certificate2 agent = authority.Issue(TestAuthority.AgentName);
        (await Should.ThrowAsync<NbdClientException>(
            () => NbdClient.ConnectAsync(ReplicationOf(pair.B, uid, agent, TestAuthority.OperatorName)))).Kind.ShouldBe(NbdClientErrorKind.Tls);
        await (await NbdClient.ConnectAsync(ReplicationOf(pair.B, uid, agent, TestAuthority.AgentName))).DisposeAsync();
        (await pair.B.ScrapeAsync()).ShouldMatch("""colo_tls_refused_total\{node="b",where="replication"\} [1-9]""");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_peer_with_a_wrong_authority_or_an_expired_certificate_is_refused_in_words_and_without_a_hang(bool expired)
    {
        using TestAuthority foreign = new("foreign-ca");
        string broken = directory.File("broken");
        await (expired ? authority : foreign).MountAsync(broken, TestAuthority.AgentName, expired);
        string arbiter = directory.File("arb");
        await using AgentUnderTest a = await AgentUnderTest.StartAsync(
            "a", directory.Path, arbiter, "--tls-directory", await MountedAsync("good", TestAuthority.AgentName));
        await using AgentUnderTest b = await AgentUnderTest.StartAsync("b", directory.Path, arbiter, "--tls-directory", broken);
        new VolumeRecordFile(arbiter, "v").TryCreate(new("v", 1, "a", "", SecondaryState.None)).Done.ShouldBeTrue();
        await b.Client.PrepareAsync(Request("v", 1, Role.Secondary));
        await a.Client.PrepareAsync(Request("v", 1, Role.Primary));
        await b.Client.StartAsync(new StartRequest { Volume = Ref("v", 1), Resync = ResyncMode.None });

        long start = Stopwatch.GetTimestamp();
        RpcException refused = await Should.ThrowAsync<RpcException>(async () => await a.Client.StartAsync(new StartRequest
        {
            Volume = Ref("v", 1), Resync = ResyncMode.None, Peer = new() { Node = "b", ReplicationAddress = b.ReplicationAddress },
        }));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        refused.Status.Detail.ShouldContain("TLS");
        Stopwatch.GetElapsedTime(start).ShouldBeLessThan(TimeSpan.FromSeconds(60));
        (await a.StatusAsync("v")).AttachFailure.ShouldContain("TLS");
        a.Log.ShouldContain("is not believed");
        (await a.ScrapeAsync()).ShouldContain("""colo_tls_refused_total{node="a",where="to-secondary"} 1""");
        if (expired)
        {
            b.Log.ShouldContain("own certificate of CN=colo-agent ended at");
        }

        // Serving its guest is not the certificate's business.
        await Guest.WriteAsync(a.GuestUri("v"), 5, "0", "64k");
    }

    [Fact]
    public async Task Certificates_and_authority_are_exchanged_under_a_running_pair()
    {
        string mounted = await MountedAsync("agent", TestAuthority.AgentName);
        await using AgentPair pair = await AgentPair.StartAsync("--tls-directory", mounted);
        (AgentUnderTest agent, int port) = await StartOverTcpAsync(mounted);
        await using AgentUnderTest disposed = agent;
        using X509Certificate2 before = authority.Issue(TestAuthority.OperatorName);
        string first = await ServerThumbprintAsync(port, before);
        string uid = await pair.CreateAsync("rotate");

        using TestAuthority next = new("next-ca");
        await next.MountAsync(mounted, TestAuthority.AgentName);
        using X509Certificate2 after = next.Issue(TestAuthority.OperatorName);
        await Eventually.TrueAsync(async () => await IsTakenAsync(port, after), "the next authority's operator is taken");
        (await ServerThumbprintAsync(port, after)).ShouldNotBe(first);
        (await IsTakenAsync(port, before)).ShouldBeFalse();

        // The connection that was there goes on; a new one is made with the new certificates.
        await Guest.WriteAsync(pair.A.GuestUri(uid), 1, "0", "64k");
        await pair.A.Client.DetachSecondaryAsync(new DetachSecondaryRequest { Volume = Ref(uid, 1) });
        await Eventually.TrueAsync(async () => await IsAttachedAsync(pair, uid), "attached anew");

        // Half a set is not taken up.
        await File.WriteAllTextAsync(Path.Combine(mounted, "..data", "tls.key"), "no key");
        await Eventually.TrueAsync(
            async () => await IsTakenAsync(port, after) && agent.Log.Contains("is not reloaded", StringComparison.Ordinal),
            "the former set stays in use, and the log says so");
    }

    [Fact]
    public async Task An_agent_does_not_start_with_a_key_that_is_none()
    {
        string mounted = await MountedAsync("agent", TestAuthority.AgentName);
        await File.WriteAllTextAsync(Path.Combine(mounted, "..data", "tls.key"), "no key");
        ToolResult result = await Tool.RunAsync(
            "dotnet", "exec", Path.Combine(AppContext.BaseDirectory, "colo-agent.dll"),
            "--node-name", "a", "--pool", $"p={directory.File("p")}", "--tls-directory", mounted);
        result.ExitCode.ShouldBe(1);
        result.Error.ShouldStartWith("colo-agent: Tls (--tls-directory)");
    }

    public void Dispose()
    {
        authority.Dispose();
        directory.Dispose();
    }

    private async Task<string> MountedAsync(string name, string dnsName)
    {
        await authority.MountAsync(directory.File(name), dnsName);
        return directory.File(name);
    }

    /// <summary>As a control plane does it: again, where the secondary is just beginning anew.</summary>
    private static async Task<bool> IsAttachedAsync(AgentPair pair, string uid)
    {
        try
        {
            await pair.B.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1), Resync = ResyncMode.Full });
            await pair.A.Client.AttachSecondaryAsync(new AttachSecondaryRequest { Volume = Ref(uid, 1), Wait = true });
            return (await pair.A.StatusAsync(uid)).Connected;
        }
        catch (RpcException e) when (e.StatusCode is StatusCode.FailedPrecondition or StatusCode.Unavailable)
        {
            return false;
        }
    }

    private async Task<(AgentUnderTest Agent, int Port)> StartOverTcpAsync(string tlsDirectory)
    {
        int port = LoopbackPort.FindFree();
        string socket = Path.Combine(directory.Path, "c", "grpc.sock");
        return (
            await AgentUnderTest.StartAsync(
                "c", directory.Path, directory.File("arb"), "--tls-directory", tlsDirectory, "--grpc-listen", $"unix:{socket},127.0.0.1:{port}"),
            port);
    }

    private NbdClientOptions ReplicationOf(AgentUnderTest agent, string uid, X509Certificate2 certificate, string serverName)
    {
        string[] address = agent.ReplicationAddress.Split(':');
        return new()
        {
            Endpoint = NbdEndpoint.Tcp(
                address[0], int.Parse(address[1], System.Globalization.CultureInfo.InvariantCulture), $"{uid}@1", useTls: true),
            Tls = new()
            {
                TrustedAuthorities = [X509Certificate2.CreateFromPem(authority.Pem)],
                ClientCertificate = certificate,
                ServerName = serverName,
            },
        };
    }

    private static async Task<bool> IsTakenAsync(int port, X509Certificate2 certificate)
    {
        try
        {
            await StatusAsync(port, certificate);
            return true;
        }
        catch (RpcException)
        {
            return false;
        }
    }

    private static async Task<string> ServerThumbprintAsync(int port, X509Certificate2 certificate)
    {
        string seen = "";
        await StatusAsync(port, certificate, server => seen = server.GetCertHashString());
        return seen;
    }

    private static async Task<StatusReply> StatusAsync(int port, X509Certificate2? certificate, Action<X509Certificate>? seen = null)
    {
        using SocketsHttpHandler handler = new();
        handler.SslOptions.RemoteCertificateValidationCallback = (_, server, _, _) =>
        {
            seen?.Invoke(server!);
            return true;
        };
        handler.SslOptions.ClientCertificateContext =
            certificate is null ? null : SslStreamCertificateContext.Create(certificate, additionalCertificates: null, offline: true);
        using GrpcChannel channel = GrpcChannel.ForAddress($"https://127.0.0.1:{port}", new GrpcChannelOptions { HttpHandler = handler });
        return await new AgentApi.Agent.AgentClient(channel).StatusAsync(new StatusRequest(), deadline: DateTime.UtcNow.AddSeconds(60));
    }
}
