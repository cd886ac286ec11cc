namespace Colo.Simulation.Engine;

/// <summary>
/// One life of a process. Everything that the product is handed belongs to one, and stops having any effect when it is killed: what it
/// waits for never comes, what it sends goes nowhere, its timers never fire; its threads end. Its objects are left to the collector.
/// </summary>
internal sealed class SimProcess
{
    private readonly List<Fiber> fibers = [];
    private readonly List<Action> whenKilled = [];

    public SimProcess(Engine engine, string name)
    {
        (Engine, Name) = (engine, name);
        Threads = new SimThreads(this);
        Time = new SimTime(this);
    }

    public Engine Engine { get; }

    public string Name { get; }

    public bool IsDead { get; private set; }

    /// <summary>Stopped (SIGSTOP, a hung hypervisor): its timers and what arrives wait.</summary>
    public bool IsPaused { get; private set; }

    public SimThreads Threads { get; }

    public SimTime Time { get; }

    private readonly List<Action> deferred = [];

    public void Begin(string name, Action run) => fibers.Add(Fiber.Start(this, name, run));

    public void Ended(Fiber fiber) => fibers.Remove(fiber);

    public void WhenKilled(Action what) => whenKilled.Add(what);

    /// <summary>Something that the world does to this process: at once, or when it goes on; never, when it is dead.</summary>
    public void Do(Action what)
    {
        if (IsDead)
        {
            return;
        }

        if (IsPaused)
        {
            deferred.Add(what);
            return;
        }

        what();
    }

    public void Pause() => IsPaused = true;

    public void Continue()
    {
        IsPaused = false;
        Action[] late = [.. deferred];
        deferred.Clear();
        foreach (Action what in late)
        {
            Engine.Soon(() => Do(what));
        }
    }

    public void Kill()
    {
        if (IsDead)
        {
            return;
        }

        IsDead = true;
        deferred.Clear();
        foreach (Action what in whenKilled)
        {
            what();
        }

        foreach (Fiber fiber in fibers.ToArray())
        {
            fiber.ResumeSoon();
        }
    }

    public override string ToString() => Name;
}
