using Colo.Operator.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Operator.Tests;

/// <summary>Operators that die: after each single step, at random moments, as leaders.</summary>
public sealed class DeathTests(KubeApiServerFixture kube) : ClusterTest(kube)
{
    private const int MostLives = 60;

    [Fact]
    public async Task Operators_that_each_live_for_a_step_or_few_make_fail_over_rejoin_and_delete_a_volume()
    {
        await Cluster.CreateVolumeAsync("v");
        await LiveAsync("protected", PhaseIs("Protected"));
        (string primary, string secondary) = await PairAsync();
        await Cluster.Agents[primary].KillAsync();
        await LiveAsync("failed over", async () => await Cluster.StatusAsync("v", "currentPrimary") == secondary && await Cluster.ConditionAsync("v", "Ready") == "True");
        Cluster.Agents[primary].Start();
        await LiveAsync("protected again", PhaseIs("Protected"));
        await Cluster.AnnotateAsync("v", $"colo.dev/switchover={primary}");
        await LiveAsync("switched over", async () =>
            await Cluster.StatusAsync("v", "currentPrimary") == primary && await PhaseIs("Protected")()
            && (await Cluster.VolumeAsync("v"))["metadata"]!["annotations"]?["colo.dev/switchover"] is null,
            longest: 3);
        await Cluster.Admin.OutputAsync("delete", "replicatedvolume", "-n", Cluster.Namespace, "v", "--wait=false");
        await LiveAsync("deleted", async () => !await Cluster.ExistsAsync("v"), longest: 5);
        foreach (AgentProcess agent in Cluster.Agents.Values)
        {
            Directory.EnumerateDirectories(agent.PoolDirectory).ShouldBeEmpty(agent.Node);
        }
    }

    [Fact]
    public async Task A_guest_loses_nothing_while_operators_and_agents_are_killed_at_random()
    {
        int seed = Random.Shared.Next();
        Say($"seed {seed}");
        Random random = new(seed);
        OperatorProcess op = StartOperator();
        await ProtectedVolumeAsync();
        await using PersistentGuest guest = StartGuest();
        for (int round = 0; round < 3; round++)
        {
            await guest.MoreAsync(50, $"round {round}: a guest writes");
            (string primary, string secondary) = await PairAsync();
            string victim = random.Next(3) == 0 ? secondary : primary;
            await Cluster.Agents[victim].KillAsync();
            for (int death = 0; death < 2; death++)
            {
                await Task.Delay(random.Next(200, 4500));
                await op.KillAsync();
                op = StartOperator();
            }

            Cluster.Agents[victim].Start();
            await Cluster.PhaseAsync("v", "Protected");
            Say($"round {round}: {victim} was killed, {(victim == primary ? "the primary" : "the secondary")}; term {await Cluster.StatusAsync("v", "term")}");
        }

        await guest.MoreAsync(50, "the guest goes on");
        await guest.VerifyAsync();
    }

    [Fact]
    public async Task A_standby_takes_over_from_a_killed_leader_and_from_one_that_ends_in_order()
    {
        OperatorProcess first = StartCandidate("first");
        await LeaderIsAsync("first");
        OperatorProcess second = StartCandidate("second");
        await Eventually.TrueAsync(async () => await ReadyAsync(second), "a standby is ready");
        await first.KillAsync();
        await LeaderIsAsync("second");
        await ProtectedVolumeAsync();

        OperatorProcess third = StartCandidate("third");
        await Eventually.TrueAsync(async () => await ReadyAsync(third), "a standby is ready");
        await second.TerminateAsync();
        second.ExitCode.ShouldBe(0);
        await LeaderIsAsync("third");
        await Cluster.Admin.OutputAsync("delete", "replicatedvolume", "-n", Cluster.Namespace, "v", "--timeout=60s");
    }

    [Fact]
    public async Task A_leader_that_dies_with_its_node_is_replaced_before_its_Lease_is_over()
    {
        string[] election = ["--leader-elect=true", "--leader-lease=30s"];
        (string firstIdentity, string secondIdentity) = ($"first@{Cluster.Node("a")}", $"second@{Cluster.Node("b")}");
        OperatorProcess first = StartOperator([.. election, $"--identity={firstIdentity}"]);
        await ProtectedVolumeAsync();
        OperatorProcess second = StartOperator([.. election, $"--identity={secondIdentity}"]);
        await Eventually.TrueAsync(async () => await ReadyAsync(second), "a standby is ready");

        await Task.WhenAll(first.KillAsync(), Cluster.Agents[Cluster.Node("a")].KillAsync());
        await LeaderIsAsync(secondIdentity);
        second.Log.ShouldContain($"{firstIdentity} is gone; taken after", customMessage: "it did not wait for the Lease's end");
        await Cluster.StatusIsAsync("v", "currentPrimary", Cluster.Node("b"));
    }

    [Fact]
    public async Task A_leader_whose_lease_is_taken_ends()
    {
        OperatorProcess op = StartCandidate("first");
        await LeaderIsAsync("first");
        await Cluster.Admin.OutputAsync(
            "patch", "lease", "-n", Cluster.Namespace, "colo-operator", "--type=merge", "-p", """{"spec":{"holderIdentity":"somebody-else"}}""");
        await Eventually.TrueAsync(() => op.HasExited, "it ends");
        op.ExitCode.ShouldBe(70);
    }

    private OperatorProcess StartCandidate(string identity) => StartOperator("--leader-elect=true", "--leader-lease=12s", $"--identity={identity}");

    private Func<Task<bool>> PhaseIs(string phase) => async () => await Cluster.StatusAsync("v", "phase") == phase;

    /// <summary>One operator after the other until the goal is reached. Each lives for one step; where a round's steps belong together (a
    /// checkpoint and the release after it), for one to <paramref name="longest"/> in turn.</summary>
    private async Task LiveAsync(string what, Func<Task<bool>> isReached, int longest = 1)
    {
        for (int life = 1; life <= MostLives; life++)
        {
            await using MortalOperator op = await MortalOperator.StartAsync(Cluster, steps: 1 + (life % longest));
            Task reached = Eventually.TrueAsync(async () => op.Mortality.Died.IsCompleted || await isReached(), what);
            await reached;
            if (await isReached())
            {
                Say($"{what} after {life} lives");
                return;
            }

            Say($"{what}, life {life}: died after {op.Mortality.LastStep}");
        }

        throw new TimeoutException($"not {what} after {MostLives} lives\n{await Cluster.VolumeAsync("v")}");
    }

    private Task LeaderIsAsync(string identity) => Eventually.TrueAsync(
        async () => (string?)(await Cluster.Admin.JsonAsync("get", "lease", "-n", Cluster.Namespace, "--field-selector=metadata.name=colo-operator"))
            ["items"]!.AsArray().FirstOrDefault()?["spec"]?["holderIdentity"] == identity,
        $"{identity} leads");

    private static async Task<bool> ReadyAsync(OperatorProcess op)
    {
        try
        {
            return await op.GetAsync("/readyz") == "Healthy";
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
