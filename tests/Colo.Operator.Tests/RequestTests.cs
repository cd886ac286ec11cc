using System.Text.Json.Nodes;
using Colo.Operator.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Operator.Tests;

/// <summary>What people ask for by annotations, and specs that cannot be.</summary>
public sealed class RequestTests(KubeApiServerFixture kube) : ClusterTest(kube)
{
    [Fact]
    public async Task Requests_are_fulfilled_or_refused_and_their_annotations_go()
    {
        StartOperator();
        (string primary, string secondary) = await ProtectedVolumeAsync("size: 16Mi, checkpoint: {interval: 0s}");

        await Cluster.AnnotateAsync("v", "colo.dev/checkpoint=now");
        await AnsweredAsync("checkpoint", "Fulfilled");

        await Cluster.AnnotateAsync("v", $"colo.dev/switchover={secondary}");
        await AnsweredAsync("switchover", "Fulfilled");
        (await Cluster.StatusAsync("v", "currentPrimary")).ShouldBe(secondary);
        await Cluster.EventAsync("v", "SwitchedOver");
        await Cluster.PhaseAsync("v", "Protected");

        await Cluster.AnnotateAsync("v", "colo.dev/switchover=nowhere");
        await AnsweredAsync("switchover", "Refused");
        await Cluster.EventAsync("v", "RequestRefused");

        await Cluster.AnnotateAsync("v", "colo.dev/failover=often");
        await AnsweredAsync("failover", "Refused");
        await Cluster.AnnotateAsync("v", $"colo.dev/failover={await Cluster.StatusAsync("v", "term")}");
        await AnsweredAsync("failover", "Fulfilled");
        (await Cluster.StatusAsync("v", "currentPrimary")).ShouldBe(primary);
        await Cluster.PhaseAsync("v", "Protected");

        await Cluster.AnnotateAsync("v", $"colo.dev/resync={secondary}");
        await AnsweredAsync("resync", "Fulfilled");
        await Cluster.PhaseAsync("v", "Protected");
    }

    [Fact]
    public async Task A_stale_copy_is_promoted_only_for_a_person_who_names_the_uid()
    {
        StartOperator();
        (string primary, string secondary) = await ProtectedVolumeAsync();
        await Cluster.Agents[secondary].KillAsync();
        await Cluster.StatusIsAsync("v", "secondaryState", "Stale");
        await Cluster.Agents[primary].KillAsync();
        Cluster.Agents[secondary].Start();
        await Cluster.PhaseAsync("v", "Faulted");

        string term = (await Cluster.StatusAsync("v", "term"))!;
        await Cluster.AnnotateAsync("v", $"colo.dev/failover={term}");
        await AnsweredAsync("failover", "Refused");
        string uid = (string)(await Cluster.VolumeAsync("v"))["metadata"]!["uid"]!;
        await Cluster.AnnotateAsync("v", $"colo.dev/failover={term}", $"colo.dev/accept-data-loss={uid}");
        await AnsweredAsync("failover", "Fulfilled");
        (await Cluster.StatusAsync("v", "currentPrimary")).ShouldBe(secondary);
    }

    [Fact]
    public async Task A_changed_preference_moves_the_primary()
    {
        StartOperator();
        (_, string secondary) = await ProtectedVolumeAsync();
        await PatchAsync($$"""{"spec":{"placement":{"primaryNode":"{{secondary}}" } } }""");
        await Cluster.StatusIsAsync("v", "currentPrimary", secondary);
        await Cluster.PhaseAsync("v", "Protected");
    }

    [Fact]
    public async Task An_invalid_spec_is_told_and_nothing_is_done_until_it_is_corrected()
    {
        StartOperator();
        await Cluster.CreateVolumeAsync("v", "size: 16Mi, checkpoint: {interval: 50ms}");
        await Cluster.EventAsync("v", "InvalidSpec");
        (await Cluster.ConditionAsync("v", "SpecApplied")).ShouldBe("False");
        (await Cluster.ConditionAsync("v", "SpecApplied", "message"))!.ShouldContain("checkpoint.interval");
        (await Cluster.StatusAsync("v", "term")).ShouldBeNull();
        (await Cluster.VolumeAsync("v"))["metadata"]!["finalizers"].ShouldBeNull();

        await PatchAsync("""{"spec":{"checkpoint":{"interval":"30s"}}}""");
        await Cluster.PhaseAsync("v", "Protected");
        (await Cluster.ConditionAsync("v", "SpecApplied")).ShouldBe("True");
    }

    private Task PatchAsync(string patch) =>
        Cluster.Admin.OutputAsync("patch", "replicatedvolume", "-n", Cluster.Namespace, "v", "--type=merge", "-p", patch);

    private async Task AnsweredAsync(string verb, string outcome)
    {
        try
        {
            await Eventually.TrueAsync(
                async () =>
                {
                    JsonNode volume = await Cluster.VolumeAsync("v");
                    return volume["metadata"]!["annotations"]?[$"colo.dev/{verb}"] is null
                        && (string?)volume["status"]?["lastRequest"]?["verb"] == verb
                        && (string?)volume["status"]?["lastRequest"]?["outcome"] == outcome;
                },
                $"{verb} is {outcome}");
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{e.Message}\n{await Cluster.VolumeAsync("v")}", e);
        }
    }
}
