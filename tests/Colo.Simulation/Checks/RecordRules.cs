using Colo.AgentApi;

namespace Colo.Simulation.Checks;

/// <summary>What may happen to the arbiter's record, whoever changes it: invariants 1 and 8, as far as the record shows them.</summary>
internal sealed class RecordRules(Action<ViolationException> violated, Action<VolumeRecord> inSync)
{
    public void Changed(VolumeRecord? before, VolumeRecord now)
    {
        if (before is null)
        {
            return;
        }

        if (now.Term < before.Term)
        {
            violated(new("1 terms never go back", $"{before} became {now}"));
        }
        else if (now.Term == before.Term && now.Primary != before.Primary)
        {
            violated(new("1 one primary per term", $"{before} became {now}"));
        }
        else if (now.Term > before.Term && (now.Primary != before.Secondary || before.SecondaryState != SecondaryState.InSync))
        {
            violated(new("8 only an InSync secondary is promoted", $"{before} became {now}"));
        }

        if (now.SecondaryState == SecondaryState.InSync && before.SecondaryState != SecondaryState.InSync)
        {
            inSync(now);
        }
    }
}
