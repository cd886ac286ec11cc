namespace Colo.Nbd.Wire;

/// <summary>
/// Where the threads of connections come from, and how they wait for what other threads do: the system's own. A simulator hands in one
/// that lets a single thread run at a time, in an order of its choice.
/// </summary>
internal class ConnectionThreads
{
    public static ConnectionThreads System { get; } = new();

    /// <summary>Runs <paramref name="run"/> on a thread of its own, from now on.</summary>
    public virtual void Start(string name, Action run) => new Thread(() => run()) { IsBackground = true, Name = name }.Start();

    /// <summary>As <see cref="Monitor.Wait(object)"/>: the caller holds <paramref name="gate"/>, and checks again what it waited for.</summary>
    public virtual void Wait(object gate) => Monitor.Wait(gate);

    /// <summary>As <see cref="Monitor.PulseAll(object)"/>.</summary>
    public virtual void PulseAll(object gate) => Monitor.PulseAll(gate);
}
