using Colo.Operator.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;
using Colo.Testing.Tls;

namespace Colo.Operator.Tests;

/// <summary>
/// Certificates gone wrong under a volume in use: each node has its own (NODE.colo-agent), and one of the parties comes back with one that
/// nobody can believe. The volume says so, and why; no acknowledged write is lost; a mended secret is enough, without a restart.
/// </summary>
public sealed class TlsTests(KubeApiServerFixture kube) : ClusterTest(kube)
{
    private readonly TempDirectory directory = new(onTmpfs: true);
    private readonly TestAuthority authority = new("cluster-ca");
    private readonly TestAuthority foreign = new("foreign-ca");

    protected override IReadOnlyList<string> Letters => [];

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        foreach (string letter in new[] { "a", "b" })
        {
            await authority.MountAsync(SecretOf(Cluster.Node(letter)), $"{Cluster.Node(letter)}.colo-agent");
            await Cluster.AddNodeAsync(letter, "--tls-directory", SecretOf(Cluster.Node(letter)), "--tls-node-names-required", "true");
        }

        await authority.MountAsync(SecretOf("operator"), TestAuthority.OperatorName);
    }

    [Theory]
    [InlineData("foreign", "is not of the authority that is trusted here")]
    [InlineData("expired", "not now")]
    [InlineData("another node", "its certificate is for other.colo-agent; needed is")]
    [InlineData("operator", "its certificate is for colo-operator; needed is")]
    public async Task An_agents_bad_certificate_is_named_and_costs_no_write(string fault, string words)
    {
        StartSecureOperator();
        (_, string secondary) = await ProtectedVolumeAsync();
        await using PersistentGuest guest = StartGuest();
        await guest.MoreAsync(50, "a guest writes");

        AgentProcess agent = Cluster.Agents[secondary];
        await agent.KillAsync();
        await (fault == "foreign" ? foreign : authority).MountAsync(
            SecretOf(secondary),
            fault switch { "another node" => "other.colo-agent", "operator" => TestAuthority.OperatorName, _ => $"{secondary}.colo-agent" },
            expired: fault == "expired");
        agent.Start();
        await ToldAsync(secondary, words);
        await Cluster.EventAsync("v", "AgentUnreachable");
        await guest.MoreAsync(50, "the guest goes on at its primary");

        await authority.MountAsync(SecretOf(secondary), $"{secondary}.colo-agent");
        await Cluster.PhaseAsync("v", "Protected");
        await guest.MoreAsync(50, "and with two copies again");
        (await Cluster.StatusAsync("v", "term")).ShouldBe("1");
        await guest.VerifyAsync();
    }

    [Theory]
    [InlineData("foreign", "is not of the authority that is trusted here")]
    [InlineData("expired", "this side's own certificate (CN=colo-operator) is valid from")]
    [InlineData("agent", "needed is colo-operator")]
    public async Task The_operators_bad_certificate_is_named_and_costs_no_write(string fault, string words)
    {
        OperatorProcess first = StartSecureOperator();
        (string primary, _) = await ProtectedVolumeAsync();
        await using PersistentGuest guest = StartGuest();
        await guest.MoreAsync(50, "a guest writes");

        await first.KillAsync();
        await (fault == "foreign" ? foreign : authority).MountAsync(
            SecretOf("operator"), fault == "agent" ? $"{primary}.colo-agent" : TestAuthority.OperatorName, expired: fault == "expired");
        StartSecureOperator();
        await ToldAsync(primary, words);
        await Cluster.EventAsync("v", "AgentUnreachable");
        await guest.MoreAsync(50, "the guest does not notice");

        await authority.MountAsync(SecretOf("operator"), TestAuthority.OperatorName);
        await Cluster.PhaseAsync("v", "Protected");
        await Eventually.TrueAsync(
            async () => await Cluster.ConditionAsync("v", "Protected") == "True" && await Cluster.ConditionAsync("v", "Protected", "reason") != "AgentUnreachable",
            "the condition holds again");
        (await Cluster.StatusAsync("v", "term")).ShouldBe("1");
        (await Cluster.EventsAsync("v")).ShouldNotContain("FailedOver");
        await guest.VerifyAsync();
    }

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        authority.Dispose();
        foreign.Dispose();
        directory.Dispose();
        GC.SuppressFinalize(this);
    }

    private string SecretOf(string who) => directory.File(who);

    private OperatorProcess StartSecureOperator() => StartOperator(
        $"--tls-certificate-file={SecretOf("operator")}/tls.crt", $"--tls-key-file={SecretOf("operator")}/tls.key",
        $"--tls-ca-file={SecretOf("operator")}/ca.crt", "--tls-node-names-required=true");

    /// <summary>The condition names the cause and the node.</summary>
    private async Task ToldAsync(string node, string words)
    {
        string seen = "";
        try
        {
            await Eventually.TrueAsync(
                async () =>
                {
                    seen = $"{await Cluster.ConditionAsync("v", "Protected")} {await Cluster.ConditionAsync("v", "Protected", "reason")}: "
                        + await Cluster.ConditionAsync("v", "Protected", "message");
                    return seen.Contains(words, StringComparison.Ordinal) && seen.Contains(node, StringComparison.Ordinal)
                        && seen.Contains(" AgentUnreachable: ", StringComparison.Ordinal);
                },
                $"the condition says '{words}' of {node}");
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}; it says {seen}", e);
        }

        Say(seen);
    }
}
