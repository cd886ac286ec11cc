using Colo.Api;

namespace Colo.Operator.Status;

/// <summary>Says why an agent cannot be talked to, where more is known than its silence: certificates above all.</summary>
internal static class UnreachableAgents
{
    public const string Reason = "AgentUnreachable";

    /// <param name="faults">One sentence a node; empty: nothing is to be said.</param>
    public static ReplicatedVolumeStatus Note(ReplicatedVolumeStatus status, IReadOnlyList<string> faults)
    {
        if (faults.Count == 0)
        {
            return status;
        }

        string text = string.Join("; ", faults);
        return status with
        {
            Message = $"{status.Message}; {text}",
            Conditions = [.. status.Conditions.Select(c => c is { Type: ConditionType.Ready or ConditionType.Protected, Status: not "True" }
                ? c with { Reason = Reason, Message = $"{c.Message}; {text}" }
                : c)],
        };
    }
}
