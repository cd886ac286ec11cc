namespace Colo.Simulation.Checks;

/// <summary>The product broke a promise. The run ends with it.</summary>
internal sealed class ViolationException(string promise, string what) : Exception($"{promise}: {what}")
{
    public string Promise => promise;
}
