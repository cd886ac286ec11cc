using Colo.Simulation.Checks;
using Colo.Simulation.Engine;

namespace Colo.Simulation.World;

/// <summary>
/// The wires between machines, each direction for itself: delays, cuts, and what TCP makes of them. Bytes that a cut holds up are sent again
/// when it is healed, so that an old primary's last packets may arrive long after its term has ended.
/// </summary>
internal sealed class SimNetwork(Engine.Engine engine, Dice dice, Trace trace, Func<string, string, Wire> watch)
{
    public static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(3);

    /// <summary>What the replication listener asks of its kernel (TCP keepalive): the other machine was not heard for so long.</summary>
    public static readonly TimeSpan PeerSilence = TimeSpan.FromSeconds(8);

    private readonly HashSet<(string From, string To)> cut = [];
    private readonly Dictionary<(string Node, string Port), (SimProcess Owner, Action<SimStream> Accept)> listeners = [];
    private readonly List<SimStream> streams = [];
    private readonly HashSet<string> machinesDown = new(StringComparer.Ordinal);
    private long connections;

    /// <summary>Added to each message between machines while a fault wants it so.</summary>
    public TimeSpan ExtraDelay { get; set; }

    public Engine.Engine Engine => engine;

    public void Cut(string from, string to) => cut.Add((from, to));

    public void Heal(string from, string to)
    {
        if (cut.Remove((from, to)))
        {
            foreach (SimStream stream in streams.ToArray().Where(s => s.Node == from && s.PeerNode == to))
            {
                stream.SendHeldUp();
            }
        }
    }

    public bool IsCut(string from, string to) => from != to && (cut.Contains((from, to)) || machinesDown.Contains(to) || machinesDown.Contains(from));

    public void MachineDown(string node) => machinesDown.Add(node);

    public void MachineUp(string node) => machinesDown.Remove(node);

    /// <summary>Between two nodes (or a node and the arbiter); on one machine next to nothing.</summary>
    public TimeSpan Delay(string from, string to) => from == to
        ? TimeSpan.FromMicroseconds(5 + dice.Below(20))
        : TimeSpan.FromMicroseconds(60 + dice.Below(400)) + (dice.Chance(0.01) ? TimeSpan.FromMilliseconds(dice.Below(40)) : TimeSpan.Zero) + ExtraDelay;

    public void Listen(SimProcess owner, string node, string port, Action<SimStream> accept)
    {
        listeners[(node, port)] = (owner, accept);
        owner.WhenKilled(() => Close(owner, node, port));
    }

    public void Close(SimProcess owner, string node, string port)
    {
        if (listeners.TryGetValue((node, port), out (SimProcess Owner, Action<SimStream> Accept) listener) && listener.Owner == owner)
        {
            listeners.Remove((node, port));
        }
    }

    /// <summary>On a fiber, which waits: connected, or refused, or out of patience.</summary>
    public SimStream Dial(SimProcess from, string node, string to, string port)
    {
        Fiber fiber = Fiber.Current ?? throw new InvalidOperationException("only a connection's own thread dials");
        SimStream? connected = null;
        bool refused = false;
        bool over = false;
        engine.After(ConnectTimeout, () =>
        {
            over = true;
            fiber.ResumeSoon();
        });
        if (!IsCut(node, to))
        {
            engine.After(Delay(node, to), () =>
            {
                if (IsCut(to, node) || from.IsDead || over)
                {
                    return;
                }

                if (!listeners.TryGetValue((to, port), out (SimProcess Owner, Action<SimStream> Accept) listener) || listener.Owner.IsDead)
                {
                    refused = true;
                    engine.After(Delay(to, node), fiber.ResumeSoon);
                    return;
                }

                long number = ++connections;
                SimStream mine = new(this, from, node, to, $"{node}>{to}:{port}#{number}");
                SimStream theirs = new(this, listener.Owner, to, node, $"{to}:{port}#{number}");
                SimStream.Join(mine, theirs);
                mine.Watched = theirs.Watched = watch(port, mine.Name);
                mine.IsClient = true;
                streams.Add(mine);
                streams.Add(theirs);
                listener.Owner.Do(() => listener.Accept(theirs));
                engine.After(Delay(to, node), () =>
                {
                    connected = mine;
                    fiber.ResumeSoon();
                });
            });
        }

        while (connected is null && !refused && !over)
        {
            fiber.Wait();
        }

        return connected ?? throw new IOException(refused ? $"{to}:{port} refuses the connection" : $"{to}:{port} does not answer");
    }

    public void Forget(SimStream stream) => streams.Remove(stream);

    public void Say(string line) => trace.Say(line);

    /// <summary>The process is gone, its kernel is not: every peer learns it at once.</summary>
    public void Reset(SimProcess process)
    {
        foreach (SimStream stream in streams.ToArray().Where(s => s.Owner == process))
        {
            stream.Dispose();
        }
    }

    /// <summary>The machine is gone: nobody is told anything.</summary>
    public void Vanish(string node)
    {
        foreach (SimStream stream in streams.ToArray().Where(s => s.Node == node))
        {
            stream.Vanish();
        }
    }

    public void Break(string from, string to)
    {
        foreach (SimStream stream in streams.ToArray().Where(s => s.Node == from && s.PeerNode == to))
        {
            stream.Break();
        }
    }
}
