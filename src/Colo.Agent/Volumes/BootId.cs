namespace Colo.Agent.Volumes;

/// <summary>Tells one boot of the machine from another (proc(5), /proc/sys/kernel/random/boot_id).</summary>
public static class BootId
{
    public static string Current { get; } = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
}
