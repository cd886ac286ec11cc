using Colo.Operator.Tests.Kit;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Operator.Tests;

/// <summary>An API server that goes away, and what guests notice of it.</summary>
public sealed class ApiOutageTests
{
    /// <summary>Long enough for a write that is not held to be answered many times.</summary>
    private static readonly TimeSpan Held = TimeSpan.FromSeconds(2);

    [Fact]
    public async Task Without_an_API_server_writes_go_on_until_a_copy_is_lost_then_they_are_held_until_it_is_back()
    {
        await using KubeApiServer server = await KubeApiServer.StartAsync();
        await server.Admin.OutputAsync("create", "namespace", "colo");
        await using ColoCluster cluster = await ColoCluster.StartAsync(server, "colo", "a", "b");
        OperatorProcess op = cluster.StartOperator("--leader-elect=true", "--leader-lease=12s");
        try
        {
            await cluster.CreateVolumeAsync("v");
            await cluster.PhaseAsync("v", "Protected");
            string secondary = (await cluster.StatusAsync("v", "currentSecondary"))!;
            string uri = (await cluster.StatusAsync("v", "endpoint.uri"))!;
            await using PersistentGuest guest = new(() => Task.FromResult<string?>(uri));
            await guest.MoreAsync(100, "a guest writes");

            await server.StopAsync();
            await Eventually.TrueAsync(() => op.HasExited, "a leader that cannot renew ends");
            await guest.MoreAsync(500, "the guest writes without an API server");

            await cluster.Agents[secondary].KillAsync();
            await Eventually.TrueAsync(async () => await StandsStillAsync(guest), "writes are held");
            await server.StartAgainAsync();
            await guest.MoreAsync(100, "writes go on once Stale is recorded");

            await op.DisposeAsync();
            op = cluster.StartOperator();
            cluster.Agents[secondary].Start();
            await Eventually.TrueAsync(
                async () => await cluster.StatusAsync("v", "secondaryState") == "InSync" && await cluster.StatusAsync("v", "phase") == "Protected",
                "the copy is made anew");
            await guest.VerifyAsync();
        }
        finally
        {
            await op.DisposeAsync();
        }
    }

    private static async Task<bool> StandsStillAsync(PersistentGuest guest)
    {
        long before = guest.Acknowledged;
        await Task.Delay(Held);
        return guest.Acknowledged == before;
    }
}
