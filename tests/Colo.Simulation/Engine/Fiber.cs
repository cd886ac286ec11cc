using Colo.Nbd.Wire;

namespace Colo.Simulation.Engine;

/// <summary>
/// A thread of the product (of an NBD connection) that runs only while it has the turn: the engine's event hands the turn over and waits
/// until the fiber waits for something simulated, or ends.
/// </summary>
internal sealed class Fiber
{
    [ThreadStatic]
    private static Fiber? current;

    private readonly SimProcess owner;
    private readonly SemaphoreSlim mine = new(0);
    private readonly SemaphoreSlim engines = new(0);
    private bool resumes;

    private Fiber(SimProcess owner) => this.owner = owner;

    public bool HasEnded { get; private set; }

    /// <summary>Of the thread that asks; null: the pool's.</summary>
    public static Fiber? Current => current;

    public static Fiber Start(SimProcess owner, string name, Action run)
    {
        Fiber fiber = new(owner);
        new Thread(() => fiber.Run(run), maxStackSize: 512 << 10) { IsBackground = true, Name = name }.Start();
        fiber.ResumeSoon();
        return fiber;
    }

    /// <summary>Gives the turn back; returns when <see cref="ResumeSoon"/> was called since.</summary>
    /// <exception cref="ProcessKilledException">its process is dead: nothing that it does has an effect any more.</exception>
    public void Wait()
    {
        engines.Release();
        mine.Wait();
        ThrowIfKilled();
    }

    public void ThrowIfKilled()
    {
        if (owner.IsDead)
        {
            throw new ProcessKilledException();
        }
    }

    /// <summary>As an event of now; several before it comes are one.</summary>
    public void ResumeSoon()
    {
        if (resumes || HasEnded)
        {
            return;
        }

        resumes = true;
        owner.Engine.Soon(() =>
        {
            resumes = false;
            if (!HasEnded)
            {
                mine.Release();
                engines.Wait();
            }
        });
    }

    private void Run(Action run)
    {
        mine.Wait();
        current = this;
        try
        {
            if (!owner.IsDead)
            {
                run();
            }
        }
        catch (Exception e) when (e is not ProcessKilledException)
        {
            owner.Engine.Fail(new InvalidOperationException($"a thread of {owner} ended with {e.GetType().Name}: {e.Message}", e));
        }
        catch (ProcessKilledException)
        {
            // Which is how it ends.
        }

        HasEnded = true;
        owner.Ended(this);
        engines.Release();
    }
}

/// <summary>Ends the threads of a process that was killed. An IOException, so that the product's code lets it pass as one more failure.</summary>
internal sealed class ProcessKilledException() : IOException("the process was killed");

/// <summary>The threads of one simulated process.</summary>
internal sealed class SimThreads(SimProcess process) : ConnectionThreads
{
    private readonly Dictionary<object, List<Fiber>> waiting = new(ReferenceEqualityComparer.Instance);

    public override void Start(string name, Action run) => process.Begin(name, run);

    public override void Wait(object gate)
    {
        Fiber fiber = Fiber.Current ?? throw new InvalidOperationException("the pool's thread waits: it would wait for ever");
        if (!waiting.TryGetValue(gate, out List<Fiber>? fibers))
        {
            waiting[gate] = fibers = [];
        }

        fibers.Add(fiber);
        Monitor.Exit(gate);
        try
        {
            fiber.Wait();
        }
        finally
        {
            Monitor.Enter(gate);
        }
    }

    public override void PulseAll(object gate)
    {
        if (waiting.Remove(gate, out List<Fiber>? fibers))
        {
            foreach (Fiber fiber in fibers)
            {
                fiber.ResumeSoon();
            }
        }
    }
}
