using Colo.Api;
using Colo.Control;
using Colo.Driver;
using Colo.Simulation.Agents;
using Colo.Simulation.Checks;
using Colo.Simulation.Control;
using Colo.Simulation.Engine;
using Colo.Simulation.Guests;
using Colo.Simulation.Mutants;

namespace Colo.Simulation.World;

/// <summary>One volume, its nodes, its control plane and its guests, from one seed.</summary>
internal sealed class SimWorld : IDisposable
{
    public const string Uid = "5eed0000-0000-4000-8000-000000000001";

    private readonly long seed;
    private readonly Dictionary<string, Dice> diskDice = new(StringComparer.Ordinal);
    private readonly List<SimProcess> processes = [];
    private readonly Dictionary<string, int> lives = new(StringComparer.Ordinal);
    private Dice? mutantDice;
    private long contents;
    private int generations;
    private int values;
    private bool isOver;

    public SimWorld(long seed, Mutant mutant, TextWriter? live)
    {
        this.seed = seed;
        Mutant = mutant;
        Profile = Profile.Of(seed);
        Engine = new(() => isOver);
        Trace = new(Engine, keep: 400, live);
        Network = new(Engine, NewDice("network"), Trace, (port, name) => new Wire(name, port == SimAgent.ReplicationPort ? Profile.LinkRequests : Guest.MaxInFlight, Violated));
        Registers = new((int)(Profile.DiskBytes / Medium.SectorBytes));
        Arbiter = new(NewDice("arbiter"), new RecordRules(Violated, Filled), Trace);
        Checkpoints = new(this, Registers);
        (Alone, Clearing, Ancestry) = (new(this), new(this), new(this));
        (CallDice, RepeatsCalls) = (NewDice("calls"), Profile.RepeatsCalls);
        Lives = new(this, Registers, Checkpoints);
        Machines = [.. Profile.Nodes.Select(n => new Machine(n))];
        Guests = [.. Machines.Select(m => new Guest(this, m))];
        Volume = new ReplicatedVolume
        {
            Metadata = new ObjectMetadata { Name = "disk", Namespace = "simulated", Uid = Uid },
            Spec = new ReplicatedVolumeSpec
            {
                Size = new ByteQuantity(Profile.DiskBytes),
                Buffer = new BufferSpec
                {
                    SizeLimit = new ByteQuantity(Profile.BufferBytes),
                    OnFull = Profile.DetachesWhenFull ? BufferFullPolicy.Detach : BufferFullPolicy.Checkpoint,
                },
                Checkpoint = new CheckpointSpec { Interval = new Duration(Profile.CheckpointInterval) },
                Failover = new FailoverSpec
                {
                    HeartbeatTimeout = new Duration(Profile.HeartbeatTimeout),
                    RecoveryPoint = Profile.IsLatestWrite ? RecoveryPoint.LatestWrite : RecoveryPoint.LastCheckpoint,
                },
            },
        };
    }

    public Engine.Engine Engine { get; }

    public Trace Trace { get; }

    public Profile Profile { get; }

    public Mutant Mutant { get; }

    public Coverage Coverage { get; } = new();

    public SimNetwork Network { get; }

    public SimArbiter Arbiter { get; }

    public Registers Registers { get; }

    public CheckpointChecks Checkpoints { get; }

    public Lives Lives { get; }

    public AloneChecks Alone { get; }

    public ClearingChecks Clearing { get; }

    public AncestryChecks Ancestry { get; }

    /// <summary>How often a call is delivered a second time.</summary>
    public double RepeatsCalls { get; set; }

    public Dice CallDice { get; }

    /// <summary>Nodes that shall hold no replica.</summary>
    public HashSet<string> Excluded { get; } = new(StringComparer.Ordinal);

    /// <summary>What the operator knows of the nodes; null: of nothing but their names.</summary>
    public IReadOnlyList<NodeFacts>? Candidates => !Profile.HasThirdNode ? null :
    [
        .. Machines.Select(m => new NodeFacts(m.Node)
        {
            AgentAnswers = m.IsRunning && !m.Process!.IsPaused,
            Excluded = Excluded.Contains(m.Node),
            Pools = new Dictionary<string, PoolFacts> { ["default"] = new(1L << 40) },
        }),
    ];

    /// <summary>The other one of the recorded two; any other one, before there is a record.</summary>
    public Machine PeerOf(Machine machine) =>
        Machines.FirstOrDefault(m => m != machine && (m.Node == Arbiter.Record?.Primary || m.Node == Arbiter.Record?.Secondary))
        ?? Machines.First(m => m != machine);

    public IReadOnlyList<Machine> Machines { get; }

    public IReadOnlyList<Guest> Guests { get; }

    public ReplicatedVolume Volume { get; private set; }

    public VolumeIntent Intent { get; set; } = VolumeIntent.None;

    public SimOperator? Operator { get; set; }

    public ViolationException? Violation { get; private set; }

    public Machine Machine(string node) => Machines.Single(m => m.Node == node);

    public Dice NewDice(string purpose) => Dice.For(seed, purpose);

    public Dice DiskDice(Machine machine)
    {
        if (!diskDice.TryGetValue(machine.Node, out Dice? dice))
        {
            diskDice[machine.Node] = dice = NewDice($"disk of {machine.Node}");
        }

        return dice;
    }

    public SimProcess NewProcess(string name)
    {
        int life = lives[name] = lives.GetValueOrDefault(name) + 1;
        SimProcess process = new(Engine, $"{name}.{life}");
        processes.Add(process);
        return process;
    }

    public Dice MutantDice => mutantDice ??= NewDice("mutant");

    public string NewGeneration() => $"g{++generations}";

    /// <summary>Of contents; of the seed, so that a trace is the same each time.</summary>
    public Replication.GenerationId NextContent() => new(new Guid(0, 0, 0, BitConverter.GetBytes(++contents)));

    public int NextValue() => ++values;

    public SimCalls CallsFrom(SimProcess process, string node) => new(process, node, this);

    public bool IsDeadAgent(Machine machine) => !machine.IsRunning;

    public void Start()
    {
        foreach (Machine machine in Machines)
        {
            SimAgent.Start(this, machine);
        }

        Operator = SimOperator.Start(this);
        foreach (Guest guest in Guests)
        {
            Own(guest.Process, guest.RunAsync());
        }
    }

    /// <summary>A task that runs beside the events: what it throws while its process lives ends the run.</summary>
    public void Own(SimProcess process, Task task) => _ = task.ContinueWith(
        ended =>
        {
            if (!process.IsDead)
            {
                Engine.Fail(ended.Exception!.InnerException!);
            }
        },
        CancellationToken.None,
        TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
        TaskScheduler.Default);

    public void Violated(ViolationException what)
    {
        if (Violation is null)
        {
            Violation = what;
            Trace.Say($"VIOLATED {what.Message}");
            Coverage.Count($"violated:{what.Promise}");
            isOver = true;
        }
    }

    public void End() => isOver = true;

    /// <summary>Ends every thread that is left.</summary>
    public void KillAll()
    {
        foreach (SimProcess process in processes)
        {
            process.Kill();
        }
    }

    /// <summary>The last checkpoint is lost: a person takes the disk as it is.</summary>
    public void TakeLatestWrite()
    {
        Trace.Say("a person asks for the recovery point LatestWrite");
        Coverage.Count("end:last checkpoint given up");
        Volume = Volume with { Spec = Volume.Spec with { Failover = Volume.Spec.Failover with { RecoveryPoint = RecoveryPoint.LatestWrite } } };
    }

    public void Settle(VolumeIntent judged, IEnumerable<SettledRequest> settled)
    {
        foreach (SettledRequest request in settled)
        {
            Trace.Say($"request {request.Verb} {(request.Done ? "done" : "refused")}: {request.Message}");
            Coverage.Count($"request:{request.Verb} {(request.Done ? "done" : "refused")}");
            Intent = request.Verb switch
            {
                RequestVerb.Switchover when Intent.SwitchOverTo == judged.SwitchOverTo => Intent with { SwitchOverTo = null },
                RequestVerb.Failover when Intent.Failover == judged.Failover => Intent with { Failover = null },
                RequestVerb.Checkpoint => Intent with { Checkpoint = false },
                RequestVerb.Resync => Intent with { Resync = null },
                _ => Intent,
            };
        }
    }

    public void Dispose() => Trace.Dispose();

    /// <summary>A copy is whole: what its disk had lost before has been written again.</summary>
    private void Filled(AgentApi.VolumeRecord record)
    {
        (Machine primary, Machine secondary) = (Machine(record.Primary), Machine(record.Secondary));
        secondary.HasLostWrites = false;
        if (!EqualCopies.AreComparable(this, primary, secondary) || primary.State!.Spec.Term != record.Term)
        {
            return;
        }

        AncestryChecks.Equal(primary, secondary);
        Coverage.Count("check:9 equal when recorded");
        foreach (int sector in EqualCopies.Differing(this, primary, secondary, 0, primary.Medium!.Sectors, stable: false, Registers.Now))
        {
            Violated(new("9 the replicas are equal", $"sector {sector} of {secondary.Node} is not that of {primary.Node}, and the record says InSync"));
            return;
        }
    }
}
