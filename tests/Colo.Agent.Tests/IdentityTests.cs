using System.Security.Cryptography.X509Certificates;
using Colo.AgentApi;
using Colo.Nbd.Client;
using Colo.Testing;
using Colo.Testing.Tls;
using Grpc.Core;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>Whose certificate opens which disk: a secondary is for the agent of its primary's node, a disk over TCP for its own guest.</summary>
public sealed class IdentityTests : IDisposable
{
    private const string NodeA = "a.colo-agent";
    private const string NodeB = "b.colo-agent";
    private const string NodeC = "c.colo-agent";

    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly TestAuthority authority = new("cluster-ca");

    private string Arbiter => directory.File("arb");

    [Fact]
    public async Task A_secondary_takes_the_agent_of_its_primarys_node_and_no_other_nodes()
    {
        await using AgentUnderTest a = await StartAsync("a", NodeA);
        await using AgentUnderTest b = await StartAsync("b", NodeB);
        await ReplicateAsync(a, b);
        await Guest.WriteAsync(a.GuestUri("v"), 0x31, "0", "64k");

        NbdClientException refused = await Should.ThrowAsync<NbdClientException>(() => ConnectAsync(b.ReplicationAddress, "v@1", NodeC, NodeB));
        refused.Message.ShouldContain("its certificate is for c.colo-agent; needed is colo-agent or a.colo-agent");
        await Should.ThrowAsync<NbdClientException>(() => ConnectAsync(b.ReplicationAddress, "v@1", NodeB, NodeB));
        await (await ConnectAsync(b.ReplicationAddress, "v@1", NodeA, NodeB)).DisposeAsync();
        (await b.ScrapeAsync()).ShouldMatch("""colo_tls_refused_total\{node="b",where="replication"\} [1-9]""");
    }

    [Fact]
    public async Task A_primary_does_not_write_to_another_nodes_agent_in_its_secondarys_place()
    {
        await using AgentUnderTest a = await StartAsync("a", NodeA);
        await using AgentUnderTest b = await StartAsync("b", NodeC); // somebody with c's certificate where b is looked for
        RpcException refused = await Should.ThrowAsync<RpcException>(() => ReplicateAsync(a, b));
        refused.StatusCode.ShouldBe(StatusCode.FailedPrecondition);
        refused.Status.Detail.ShouldContain("its certificate is for c.colo-agent; needed is colo-agent or b.colo-agent");
        (await a.StatusAsync("v")).AttachFailure.ShouldContain("needed is colo-agent or b.colo-agent");
        await Guest.WriteAsync(a.GuestUri("v"), 5, "0", "64k");
    }

    [Fact]
    public async Task Where_node_names_are_required_a_certificate_of_all_agents_is_none()
    {
        await using AgentUnderTest a = await StartAsync("a", TestAuthority.AgentName);
        await using AgentUnderTest b = await StartAsync("b", NodeB, "--tls-node-names-required", "true");
        RpcException refused = await Should.ThrowAsync<RpcException>(() => ReplicateAsync(a, b));
        refused.Status.Detail.ShouldContain("its certificate is for colo-agent; needed is NAME.colo-agent");
    }

    [Fact]
    public async Task A_disk_over_TCP_opens_for_its_own_guests_certificate_only()
    {
        string listen = $"127.0.0.1:{LoopbackPort.FindFree()}";
        await using AgentUnderTest a = await StartAsync("a", NodeA, "--guest-listen", listen);
        await PrepareAsync(a, "v", "w");
        (await a.StatusAsync("v")).Endpoints.GuestTcp.ShouldBe($"nbds://{listen}/v");

        await (await ConnectAsync(listen, "v", "v.test.colo-guest", NodeA)).DisposeAsync();
        await (await ConnectAsync(listen, "w", TestAuthority.GuestName, NodeA)).DisposeAsync();
        foreach (string other in new[] { "w.test.colo-guest", "v.prod.colo-guest", NodeA, TestAuthority.AgentName, TestAuthority.OperatorName })
        {
            NbdClientException refused = await Should.ThrowAsync<NbdClientException>(() => ConnectAsync(listen, "v", other, NodeA));
            refused.Message.ShouldContain($"its certificate is for {other}; needed is colo-guest or v.test.colo-guest");
        }

        (await Tool.RunAsync("qemu-img", "info", $"nbd://{listen}/v")).Error.ShouldContain("TLS");
        await Should.ThrowAsync<NbdClientException>(() => ConnectAsync(a.ReplicationAddress, "v@1", "v.test.colo-guest", NodeA));
        (await a.ScrapeAsync()).ShouldMatch("""colo_tls_refused_total\{node="a",where="guest"\} [1-9]""");
    }

    [Fact]
    public async Task QEMU_opens_its_disk_with_the_certificate_that_the_script_makes()
    {
        string scripts = Path.Combine(Testing.Local.Built.Repository, "config", "tls");
        string folder = directory.File("ca");
        await Tool.RunAsync(Path.Combine(scripts, "make-secrets.sh"), folder);
        foreach ((string name, string into) in new[] { (NodeA, "node"), ("v.test.colo-guest", "mine"), ("w.test.colo-guest", "other") })
        {
            (await Tool.RunAsync(Path.Combine(scripts, "make-certificate.sh"), folder, name, directory.File(into))).EnsureSuccess();
        }

        string listen = $"127.0.0.1:{LoopbackPort.FindFree()}";
        await using AgentUnderTest a = await AgentUnderTest.StartAsync(
            "a", directory.Path, Arbiter, "--tls-directory", directory.File("node"), "--tls-node-names-required", "true", "--guest-listen", listen);
        await PrepareAsync(a, "v");
        (await QemuAsync("mine")).EnsureSuccess().ShouldContain("16777216 bytes");
        (await QemuAsync("other")).Error.ShouldContain("needed is colo-guest or v.test.colo-guest");

        Task<ToolResult> QemuAsync(string who) => Tool.RunAsync(
            "qemu-img", "info", "--object", $"tls-creds-x509,id=t,endpoint=client,dir={directory.File(who)}", "--image-opts",
            $"driver=nbd,host=127.0.0.1,port={listen.Split(':')[1]},export=v,tls-creds=t,tls-hostname={NodeA}");
    }

    [Fact]
    public async Task Guests_over_TCP_without_TLS_are_a_choice_that_is_spelled_out()
    {
        string listen = $"127.0.0.1:{LoopbackPort.FindFree()}";
        await using AgentUnderTest a = await StartAsync("a", NodeA, "--guest-listen", listen, "--guest-tls", "none");
        await PrepareAsync(a, "v");
        (await a.StatusAsync("v")).Endpoints.GuestTcp.ShouldBe($"nbd://{listen}/v");
        await Guest.WriteAsync($"nbd://{listen}/v", 7, "0", "64k");
    }

    [Theory]
    [InlineData("colo-agent", null, false, true)]
    [InlineData("colo-agent", "a", false, true)]
    [InlineData("colo-agent", "a", true, false)]
    [InlineData("a.colo-agent", "a", true, true)]
    [InlineData("A.COLO-AGENT", "a", true, true)]
    [InlineData("a.colo-agent", "b", false, false)]
    [InlineData("a.colo-agent", null, false, true)]
    [InlineData("a.b.example.colo-agent", "a.b.example", true, true)]
    [InlineData("xcolo-agent", "x", false, false)]
    [InlineData("colo-operator", null, false, false)]
    public void A_name_is_a_role_or_one_of_its_subjects(string name, string? subject, bool required, bool holds)
    {
        using X509Certificate2 certificate = authority.Issue(name);
        (CertificateNames.Refusal(certificate, [CertificateNames.Agent], subject, required) is null).ShouldBe(holds);
    }

    [Fact]
    public void A_certificate_for_a_node_that_names_all_agents_too_is_for_that_node_only()
    {
        using X509Certificate2 certificate = authority.Issue("a.colo-agent", more: "colo-agent");
        CertificateNames.Refusal(certificate, [CertificateNames.Agent], "a").ShouldBeNull();
        CertificateNames.Refusal(certificate, [CertificateNames.Agent], "b").ShouldNotBeNull();
        CertificateNames.Refusal(certificate, [CertificateNames.Any], "b").ShouldBeNull();
    }

    public void Dispose()
    {
        authority.Dispose();
        directory.Dispose();
    }

    private async Task<AgentUnderTest> StartAsync(string node, string dnsName, params string[] extra)
    {
        string mounted = directory.File($"tls-{node}");
        await authority.MountAsync(mounted, dnsName);
        return await AgentUnderTest.StartAsync(node, directory.Path, Arbiter, ["--tls-directory", mounted, .. extra]);
    }

    private async Task ReplicateAsync(AgentUnderTest a, AgentUnderTest b)
    {
        new VolumeRecordFile(Arbiter, "v").TryCreate(new("v", 1, "a", "", SecondaryState.None)).Done.ShouldBeTrue();
        await b.Client.PrepareAsync(Request("v", 1, Role.Secondary));
        await a.Client.PrepareAsync(Request("v", 1, Role.Primary));
        await b.Client.StartAsync(new StartRequest { Volume = Ref("v", 1), Resync = ResyncMode.None });
        await a.Client.StartAsync(new StartRequest
        {
            Volume = Ref("v", 1), Resync = ResyncMode.None, Peer = new() { Node = "b", ReplicationAddress = b.ReplicationAddress },
        });
    }

    private async Task PrepareAsync(AgentUnderTest a, params string[] uids)
    {
        foreach (string uid in uids)
        {
            new VolumeRecordFile(Arbiter, uid).TryCreate(new(uid, 1, "a", "", SecondaryState.None)).Done.ShouldBeTrue();
            PrepareRequest request = Request(uid, 1, Role.Primary);
            request.GuestTcp = true;
            await a.Client.PrepareAsync(request);
        }
    }

    private async Task<NbdClientDevice> ConnectAsync(string address, string export, string ownName, string serverName)
    {
        string[] parts = address.Split(':');
        return await NbdClient.ConnectAsync(new NbdClientOptions
        {
            Endpoint = NbdEndpoint.Tcp(parts[0], int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture), export, useTls: true),
            Tls = new()
            {
                TrustedAuthorities = [X509Certificate2.CreateFromPem(authority.Pem)],
                ClientCertificate = authority.Issue(ownName),
                ServerName = serverName,
            },
        });
    }
}
