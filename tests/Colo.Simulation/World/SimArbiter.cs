using Colo.AgentApi;
using Colo.Simulation.Checks;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>The one record, and what faults do to whoever keeps it: an outage, answers that are lost, slowness.</summary>
internal sealed class SimArbiter(Dice dice, RecordRules rules, Trace trace)
{
    public const string Node = "arbiter";

    public VolumeRecord? Record { get; private set; }

    public bool IsDown { get; set; }

    public double LosesAnswers { get; set; }

    public TimeSpan Slowness { get; set; }

    public TimeSpan WorkingTime() => TimeSpan.FromMicroseconds(200 + dice.Below(3000)) + Slowness;

    public bool LosesThisAnswer() => dice.Chance(LosesAnswers);

    public RecordChange Create(VolumeRecord first)
    {
        if (Record is not null)
        {
            return new(false, Record);
        }

        Set(first with { Revision = 1 }, "created");
        return new(true, Record);
    }

    public RecordChange Replace(VolumeRecord expected, VolumeRecord next, string by)
    {
        if (Record is null || Record.Revision != expected.Revision)
        {
            return new(false, Record);
        }

        Set(next with { Revision = Record.Revision + 1 }, by);
        return new(true, Record);
    }

    private void Set(VolumeRecord next, string by)
    {
        trace.Say($"record {next.Revision}: term {next.Term} primary {next.Primary} secondary {next.Secondary} {next.SecondaryState} by {by}");
        rules.Changed(Record, next);
        Record = next;
    }
}

/// <summary>The way of one process to the record. No answer, for whatever reason, is an IOException after a while.</summary>
internal sealed class SimRecordStore(SimProcess process, string node, SimNetwork network, SimArbiter arbiter) : IVolumeRecordStore
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    public string Location => "the simulated arbiter";

    public Task<VolumeRecord?> ReadAsync(CancellationToken token) => AskAsync(() => arbiter.Record, token);

    public Task<RecordChange> TryCreateAsync(VolumeRecord first, CancellationToken token) => AskAsync(() => arbiter.Create(first), token);

    public Task<RecordChange> TryReplaceAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token) =>
        AskAsync(() => arbiter.Replace(expected, next, process.Name), token);

    public Task DeleteAsync(CancellationToken token) => throw new NotSupportedException();

    private async Task<T> AskAsync<T>(Func<T> question, CancellationToken token)
    {
        TaskCompletionSource<T> answer = new();
        Engine.Engine engine = process.Engine;
        if (!network.IsCut(node, SimArbiter.Node) && !process.IsDead)
        {
            engine.After(network.Delay(node, SimArbiter.Node) + arbiter.WorkingTime(), () =>
            {
                if (arbiter.IsDown)
                {
                    return;
                }

                T said = question();
                if (!network.IsCut(SimArbiter.Node, node) && !arbiter.LosesThisAnswer())
                {
                    engine.After(network.Delay(SimArbiter.Node, node), () => process.Do(() => answer.TrySetResult(said)));
                }
            });
        }

        engine.After(Patience, () => process.Do(() => answer.TrySetException(new IOException("the arbiter does not answer"))));
        return await answer.Task.WaitAsync(token);
    }
}
