using Colo.Testing;

namespace Colo.Simulation.Tests;

/// <summary>The simulator in a process of its own: it needs a thread pool of one thread.</summary>
internal static class Simulator
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "Colo.Simulation.dll");

    /// <summary>Far above what a run takes on a busy machine.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);

    public static Task<ToolResult> RunAsync(params string[] words) => Tool.RunAsync("dotnet", [Program, .. words], Limit);
}
