using Colo.Chaos.World;

namespace Colo.Chaos.Faults;

/// <summary>Makes faults happen on a stage, heals them, and counts.</summary>
internal sealed class Injector(Stage stage)
{
    /// <summary>One packet of so many is lost on a bad link.</summary>
    private const int LostOneIn = 5;

    private const int MostArbiterStarts = 10;

    private readonly SemaphoreSlim arbiter = new(1);
    private readonly Dictionary<FaultKind, int> counts = [];

    public IReadOnlyDictionary<FaultKind, int> Counts => counts;

    /// <summary>All of them in their time; returns when each is healed, also where the run is cancelled.</summary>
    public Task RunAsync(IReadOnlyList<Fault> faults, VolumeRecord now, CancellationToken token) =>
        Task.WhenAll(faults.Select(f => RunAsync(f, now, token)));

    private async Task RunAsync(Fault fault, VolumeRecord now, CancellationToken token)
    {
        Func<Task>? heal = null;
        try
        {
            await Task.Delay(fault.After, token);
            heal = await BeginAsync(fault, now);
            lock (counts)
            {
                counts[fault.Kind] = counts.GetValueOrDefault(fault.Kind) + 1;
            }

            await Task.Delay(fault.For, token);
        }
        finally
        {
            if (heal is not null)
            {
                await heal();
            }
        }
    }

    private Task<Func<Task>> BeginAsync(Fault fault, VolumeRecord now)
    {
        string primary = now.Primary ?? Stage.Nodes[0];
        string secondary = now.Secondary ?? Stage.Nodes.First(n => n != primary);
        string spare = Stage.Nodes.First(n => n != primary && n != secondary);
        string node = fault.Role switch { Role.Primary => primary, Role.Secondary => secondary, _ => spare };
        string peer = node == primary ? secondary : primary;
        System.Net.IPAddress host = stage.Links.Host, operatorAt = stage.Links.AddressOf(Stage.OperatorPlace);

        // A one-way cut: what the node hears is lost, or what it says, by the parity of its time.
        Direction oneWay = fault.For.Milliseconds % 2 == 0 ? Direction.Inbound : Direction.Outbound;
        return fault.Kind switch
        {
            FaultKind.KillAgent => KillAsync(stage.Agents[node]),
            FaultKind.FreezeAgent => stage.Agents[node].FreezeAsync(),
            FaultKind.KillOperator => KillAsync(stage.Operator),
            FaultKind.FreezeOperator => stage.Operator.FreezeAsync(),
            FaultKind.KillArbiter => ArbiterAsync(stage.Api.StopAsync, StartArbiterAgainAsync),
            FaultKind.FreezeArbiter => ArbiterAsync(stage.Api.FreezeAsync, stage.Api.ThawAsync),
            FaultKind.Switchover => SwitchoverAsync(secondary),
            FaultKind.CutPeers => stage.Links.CutAsync(node, stage.Links.AddressOf(peer), Direction.Both),
            FaultKind.CutPeersOneWay => stage.Links.CutAsync(node, stage.Links.AddressOf(peer), oneWay),
            FaultKind.CutArbiter => stage.Links.CutAsync(node, host, Direction.Both),
            FaultKind.CutArbiterOneWay => stage.Links.CutAsync(node, host, oneWay),
            FaultKind.CutOperator => stage.Links.CutAsync(node, operatorAt, Direction.Both),
            FaultKind.CutOperatorOneWay => stage.Links.CutAsync(node, operatorAt, oneWay),
            FaultKind.LosePackets => stage.Links.LosePacketsAsync(node, LostOneIn),
            FaultKind.SlowLink => stage.Links.SlowAsync(node),
            FaultKind.FullDisk => stage.Disks[node].FillAsync(),
            FaultKind.DiskErrors => stage.Disks[node].FailAsync(),
            FaultKind.FlushErrors => stage.Disks[node].FailFlushesAsync(),
            FaultKind.HungDisk => stage.Disks[node].HangAsync(),
            FaultKind.SlowDisk => stage.Disks[node].SlowAsync(),
            _ => throw new ArgumentOutOfRangeException(nameof(fault), fault.Kind, "no such fault"),
        };
    }

    private static async Task<Func<Task>> KillAsync(Victim victim)
    {
        await victim.KillAsync();
        return victim.EnsureStartedAsync;
    }

    /// <summary>One outage of the arbiter at a time: a server that is stopped cannot be frozen.</summary>
    private async Task<Func<Task>> ArbiterAsync(Func<Task> begin, Func<Task> end)
    {
        await arbiter.WaitAsync();
        await begin();
        return async () =>
        {
            await end();
            arbiter.Release();
        };
    }

    /// <summary>It has a minute to come up, which is little on a machine that builds something beside it.</summary>
    private async Task StartArbiterAgainAsync()
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                await stage.Api.StartAgainAsync();
                return;
            }
            catch (Exception e) when (attempt < MostArbiterStarts && e is InvalidOperationException or TimeoutException)
            {
                // Once more.
            }
        }
    }

    private async Task<Func<Task>> SwitchoverAsync(string to)
    {
        await stage.AskForSwitchoverAsync(to);
        return () => Task.CompletedTask;
    }
}
