using Colo.AgentApi;

namespace Colo.EndToEnd.Tests.SigkillRounds;

/// <summary>
/// One round from Protected to Protected: kill under load, look at what the dead left, let the writer go on at whoever may serve, read
/// everything back, bring the dead home.
/// </summary>
internal sealed class KillRound(TwoNodes nodes, JournalWriter writer, SigkillReport report, Random random)
{
    /// <summary>Answers before a kill and after it: enough that all workers have written on both sides of it.</summary>
    private const int Load = 200;

    private readonly HashSet<string> dead = new(StringComparer.Ordinal);

    public async Task RunAsync(KillKind kind, Func<Task<int>> verify)
    {
        await writer.ProgressAsync(Load);
        await MomentAsync(150);
        await KillAsync(kind);
        foreach (string node in dead)
        {
            report.Images += await DeadImages.CheckAsync(nodes, node);
        }

        // An impatient supervisor: the agent is back before, or while, the other takes over.
        if (random.Next(3) == 0)
        {
            await StartOneOfAsync([.. dead]);
        }

        await writer.ProgressAsync(Load, meanwhile: LetSomebodyServeAsync);
        report.Slots += await verify();
        while (dead.Count > 0)
        {
            await StartOneOfAsync([.. dead]);
        }

        await nodes.UntilProtectedAsync();
    }

    private async Task KillAsync(KillKind kind)
    {
        VolumeRecord before = nodes.Record;
        string either = random.Next(2) == 0 ? before.Primary : before.Secondary;
        switch (kind)
        {
            case KillKind.Primary:
                await KillAsync(kind, before.Primary);
                break;
            case KillKind.Secondary:
                await KillAsync(kind, before.Secondary);
                break;
            case KillKind.Both:
                await KillAsync(kind, either);
                await MomentAsync(300);
                await KillAsync(kind, Other(before, either));
                break;
            case KillKind.DuringCheckpoint:
                await KillDuringCheckpointAsync(either);
                break;
            case KillKind.DuringResync:
                await KillDuringResyncAsync(before);
                break;
            case KillKind.RightAfterFailover:
                await KillAsync(kind, before.Primary);
                await UntilRecordAsync(record => record.Term > before.Term, "the record names a successor");
                await MomentAsync(150);
                await KillAsync(kind, nodes.Record.Primary);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(kind), kind, null);
        }
    }

    private async Task KillDuringCheckpointAsync(string node)
    {
        Task killing = AfterAMomentAsync();
        while (!killing.IsCompleted)
        {
            await nodes.CheckpointAsync();
        }

        await killing;

        async Task AfterAMomentAsync()
        {
            await MomentAsync(200);
            await KillAsync(KillKind.DuringCheckpoint, node);
        }
    }

    private async Task KillDuringResyncAsync(VolumeRecord before)
    {
        await KillAsync(KillKind.DuringResync, before.Secondary);
        await UntilRecordAsync(record => record.SecondaryState == SecondaryState.Stale, "the primary goes on alone");
        await StartOneOfAsync([before.Secondary]);
        await UntilRecordAsync(record => record.SecondaryState is SecondaryState.Syncing or SecondaryState.InSync, "it is being filled");
        await MomentAsync(500);
        VolumeRecord now = nodes.Record;
        report.Resyncing += now.SecondaryState == SecondaryState.Syncing ? 1 : 0;
        await KillAsync(KillKind.DuringResync, random.Next(2) == 0 ? now.Primary : now.Secondary);
    }

    /// <summary>Where nobody alive may serve by the record, somebody has to be started. Either one where either would do.</summary>
    private async Task LetSomebodyServeAsync()
    {
        VolumeRecord record = nodes.Record;
        bool successor = record.SecondaryState == SecondaryState.InSync;
        if (dead.Contains(record.Primary) && (!successor || dead.Contains(record.Secondary)))
        {
            // The stale one first where both are down: it must not serve.
            string[] choice = dead.Contains(record.Secondary) ? [record.Primary, record.Secondary] : [record.Primary];
            await StartOneOfAsync(choice);
        }
    }

    private async Task KillAsync(KillKind kind, string node)
    {
        report.Killed(kind, nodes.Record.Primary == node);
        await nodes.KillAsync(node);
        dead.Add(node);
    }

    private async Task StartOneOfAsync(string[] choice)
    {
        string node = choice[random.Next(choice.Length)];
        await nodes.StartAsync(node);
        dead.Remove(node);
    }

    private async Task UntilRecordAsync(Func<VolumeRecord, bool> wanted, string what)
    {
        // Finer than Eventually: the moment matters here.
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(60));
        while (!wanted(nodes.Record))
        {
            limit.IsCancellationRequested.ShouldBeFalse($"not within a minute: {what}; {nodes.Record}");
            await Task.Delay(TimeSpan.FromMilliseconds(2));
        }
    }

    private Task MomentAsync(int longestMilliseconds) => Task.Delay(TimeSpan.FromMilliseconds(random.Next(longestMilliseconds)));

    private static string Other(VolumeRecord record, string node) => node == record.Primary ? record.Secondary : record.Primary;
}
