using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Colo.Operator.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;
using Colo.Testing.Tls;

namespace Colo.Operator.Tests;

/// <summary>
/// The chart's default: each node's agent asks the cluster's certificate API for a certificate of its own, with the token of its pod, and the
/// operator signs it. A real API server with its approval and signing rules; the pods are objects, as no kubelet runs here.
/// </summary>
public sealed class AgentCertificateTests(KubeApiServerFixture kube) : ClusterTest(kube)
{
    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly TestAuthority authority = new("cluster-ca");

    protected override IReadOnlyList<string> Letters => [];

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        await authority.MountAsync(directory.File("operator"), TestAuthority.OperatorName);
        await File.WriteAllTextAsync(directory.File("authority.key"), authority.KeyPem);
    }

    [Fact]
    public async Task Each_nodes_agent_is_given_a_certificate_of_its_own_and_a_pair_replicates_with_them()
    {
        StartSigningOperator();
        await AddAgentAsync("a", "a");
        await AddAgentAsync("b", "b");
        await ProtectedVolumeAsync();
        await using PersistentGuest guest = StartGuest();
        await guest.MoreAsync(50, "a guest writes");

        foreach (string letter in new[] { "a", "b" })
        {
            using X509Certificate2 given = CertificateOf(letter);
            given.Extensions.OfType<X509SubjectAlternativeNameExtension>().Single().EnumerateDnsNames().ShouldBe([$"{Cluster.Node(letter)}.colo-agent"]);
            File.GetUnixFileMode(Path.Combine(TlsOf(letter), "tls.key")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }

        await guest.VerifyAsync();
    }

    [Fact]
    public async Task An_agent_that_asks_for_another_nodes_certificate_is_denied_in_words()
    {
        StartSigningOperator();
        AgentProcess agent = await AddAgentAsync("b", podOnNode: "a");
        string words = $"may have a certificate for {Cluster.Node("a")}.colo-agent, not for {Cluster.Node("b")}.colo-agent";
        await Eventually.TrueAsync(() => Task.FromResult(agent.Log.Contains(words, StringComparison.Ordinal)), "the agent says why it has no certificate");
        File.Exists(Path.Combine(TlsOf("b"), "tls.crt")).ShouldBeFalse();
        JsonNode denied = (await RequestsAsync(Cluster.Node("b")))[0]!;
        denied["status"]!["conditions"]![0]!["type"]!.GetValue<string>().ShouldBe("Denied");
    }

    [Fact]
    public async Task A_token_that_is_bound_to_no_pod_gives_no_certificate()
    {
        StartSigningOperator();
        AgentProcess agent = await AddAgentAsync("a", podOnNode: null);
        await Eventually.TrueAsync(
            () => Task.FromResult(agent.Log.Contains("is not bound to a pod", StringComparison.Ordinal)), "the agent says why it has no certificate");
    }

    [Fact]
    public async Task A_restarted_agent_keeps_its_certificate_and_one_that_has_ended_is_asked_for_anew()
    {
        OperatorProcess signer = StartSigningOperator();
        AgentProcess agent = await AddAgentAsync("a", "a");
        await GivenAsync("a", "");
        string first = File.ReadAllText(Path.Combine(TlsOf("a"), "tls.crt"));

        // No operator: whoever starts with a good certificate needs nobody.
        await signer.KillAsync();
        await agent.KillAsync();
        agent.Start();
        await Eventually.TrueAsync(() => Task.FromResult(agent.Log.Contains("is held and renewed", StringComparison.Ordinal)), "the agent serves again");
        File.ReadAllText(Path.Combine(TlsOf("a"), "tls.crt")).ShouldBe(first);

        await agent.KillAsync();
        using (X509Certificate2 ended = authority.Issue($"{Cluster.Node("a")}.colo-agent", expired: true))
        {
            await File.WriteAllTextAsync(Path.Combine(TlsOf("a"), "tls.crt"), ended.ExportCertificatePem());
            await File.WriteAllTextAsync(Path.Combine(TlsOf("a"), "tls.key"), ended.GetECDsaPrivateKey()!.ExportECPrivateKeyPem());
        }

        string worn = File.ReadAllText(Path.Combine(TlsOf("a"), "tls.crt"));
        agent.Start();
        StartSigningOperator();
        await GivenAsync("a", worn);
        using X509Certificate2 renewed = CertificateOf("a");
        renewed.NotAfter.ShouldBeGreaterThan(DateTime.Now);
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        authority.Dispose();
        directory.Dispose();
        GC.SuppressFinalize(this);
    }

    private string TlsOf(string letter) => directory.File($"tls-{letter}");

    private X509Certificate2 CertificateOf(string letter) => X509CertificateLoader.LoadCertificateFromFile(Path.Combine(TlsOf(letter), "tls.crt"));

    private Task GivenAsync(string letter, string instead) => Eventually.TrueAsync(
        () => Task.FromResult(File.Exists(Path.Combine(TlsOf(letter), "tls.crt")) && File.ReadAllText(Path.Combine(TlsOf(letter), "tls.crt")) != instead),
        "a certificate is given");

    private async Task<JsonArray> RequestsAsync(string node) =>
    [
        .. (await Cluster.Admin.JsonAsync("get", "csr"))["items"]!.AsArray()
            .Where(r => ((string)r!["metadata"]!["name"]!).StartsWith($"colo-agent-{node}-", StringComparison.Ordinal)).Select(r => r!.DeepClone()),
    ];

    private OperatorProcess StartSigningOperator() => StartOperator(
        $"--tls-certificate-file={directory.File("operator")}/tls.crt", $"--tls-key-file={directory.File("operator")}/tls.key",
        $"--tls-ca-file={directory.File("operator")}/ca.crt", "--tls-node-names-required=true",
        $"--signing-certificate-file={directory.File("operator")}/ca.crt", $"--signing-key-file={directory.File("authority.key")}",
        "--agent-service-account=colo-agent");

    /// <param name="letter">Of the node that it says it is.</param>
    /// <param name="podOnNode">Of the node that its pod is on; null: its token is of no pod.</param>
    private async Task<AgentProcess> AddAgentAsync(string letter, string? podOnNode)
    {
        string? pod = null;
        if (podOnNode is not null)
        {
            pod = $"agent-{letter}";
            await Cluster.Admin.ApplyAsync(
                $$"""
                apiVersion: v1
                kind: Pod
                metadata: {name: {{pod}}, namespace: {{Cluster.Namespace}}}
                spec:
                  nodeName: {{Cluster.Node(podOnNode)}}
                  serviceAccountName: colo-agent
                  automountServiceAccountToken: false
                  containers: [{name: agent, image: none}]
                """);
        }

        string kubeconfig = await Cluster.Server.KubeconfigForServiceAccountAsync(Cluster.Namespace, "colo-agent", pod);
        return await Cluster.AddNodeAsync(letter, kubeconfig, null,
        [
            "--tls-signer", "colo.dev/agent", "--tls-certificate-file", Path.Combine(TlsOf(letter), "tls.crt"),
            "--tls-key-file", Path.Combine(TlsOf(letter), "tls.key"), "--tls-ca-file", $"{directory.File("operator")}/ca.crt",
            "--tls-node-names-required", "true",
        ]);
    }
}
