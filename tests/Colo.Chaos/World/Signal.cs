using System.Globalization;
using Colo.Testing;

namespace Colo.Chaos.World;

/// <summary>Signals to a process of this run, by its pid; to one that has ended meanwhile it is none.</summary>
internal static class Signal
{
    public static Task SendAsync(int pid, string signal) =>
        Tool.RunAsync("kill", "-" + signal, pid.ToString(CultureInfo.InvariantCulture));
}
