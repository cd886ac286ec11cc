namespace Colo.Operator.Options;

/// <summary>The configuration cannot work; every message names its option and what that allows.</summary>
public sealed class OperatorOptionsException(IReadOnlyList<string> faults) : Exception(string.Join("; ", faults))
{
    public IReadOnlyList<string> Faults { get; } = faults;
}
