using Colo.Api;

namespace Colo.Control.Tests;

/// <summary>
/// Two agents, a link, a record and a guest, as small as they can be and still break their promises when the decisions are wrong.
/// A write is a number; a replica's content is the highest number it holds.
/// </summary>
internal sealed class ModelWorld
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private readonly Dictionary<string, TimeSpan> silent = new(StringComparer.Ordinal);
    private readonly Dictionary<long, string> writerOfTerm = [];
    private readonly bool manual;

    public ModelWorld(bool manual)
    {
        this.manual = manual;
        Agents = [new ModelAgent("node-a"), new ModelAgent("node-b")];
        foreach (ModelAgent agent in Agents)
        {
            silent[agent.Node] = TimeSpan.Zero;
        }
    }

    public ModelAgent[] Agents { get; }

    public VolumeTruth? Truth { get; private set; }

    public VolumeIntent Intent { get; set; } = VolumeIntent.None;

    public int Acknowledged { get; private set; }

    public bool LossWasAccepted { get; private set; }

    public VolumePlan? LastPlan { get; private set; }

    private int nextWrite;

    private bool linkUp = true;

    public ModelAgent this[string node] => Agents.Single(a => a.Node == node);

    public void Time()
    {
        foreach (ModelAgent agent in Agents)
        {
            silent[agent.Node] = agent.Answers ? TimeSpan.Zero : silent[agent.Node] + Tick;
        }
    }

    /// <summary>Plans, then does at most <paramref name="actionsBeforeDeath"/> of the actions: whoever drives may die anywhere.</summary>
    public void Round(int actionsBeforeDeath)
    {
        ReplicatedVolumeSpec spec = Given.Spec(manual ? FailoverMode.Manual : FailoverMode.Automatic);
        ReplicaView[] views = [.. Agents.Select(View)];
        VolumePlan plan = VolumeReconciler.Plan(new VolumeInput(Given.Uid, spec, Truth, views, Intent));
        LastPlan = plan;
        if (plan.Switchover is { Step: SwitchoverStep.NotReady or SwitchoverStep.Done })
        {
            Intent = Intent with { SwitchOverTo = null };
        }

        foreach (VolumeAction action in plan.Actions.Take(actionsBeforeDeath))
        {
            if (!Do(action, plan))
            {
                return;
            }
        }
    }

    public void GuestWrite(ModelAgent at)
    {
        if (!at.Answers || !at.Opened || at.Role != ReplicaRole.Primary || !View(at).Serves)
        {
            return;
        }

        int write = ++nextWrite;
        at.Content = write;
        ModelAgent peer = Peer(at);
        if (at.Stage == ReplicaStage.Running || at.Stage == ReplicaStage.Syncing)
        {
            if (at.Connected && peer.Answers && peer.Opened && peer.Role == ReplicaRole.Secondary && peer.Term == at.Term)
            {
                peer.Content = at.Stage == ReplicaStage.Running ? write : peer.Content;
                Acknowledge(at, write);
                return;
            }

            at.Connected = false;
        }

        // Going on alone: recorded first, acknowledged afterwards; refused where the record has moved on.
        if (Truth!.Term != at.Term || Truth.Primary != at.Node)
        {
            at.Stage = ReplicaStage.Fenced;
            return;
        }

        Truth = Truth with { SecondaryState = SecondaryState.Stale };
        at.Stage = at.Stage is ReplicaStage.FailingOver or ReplicaStage.Prepared ? at.Stage : ReplicaStage.Alone;
        Acknowledge(at, write);
    }

    public void Restart(ModelAgent agent)
    {
        if (agent.Up)
        {
            return;
        }

        agent.Up = true;
        agent.Frozen = false;
        agent.Connected = false;
        if (!agent.Opened)
        {
            return;
        }

        agent.Stage = agent.Role == ReplicaRole.Secondary ? ReplicaStage.Prepared
            : Truth!.Term == agent.Term && Truth.Primary == agent.Node ? ReplicaStage.Prepared
            : ReplicaStage.Fenced;
    }

    public void Kill(ModelAgent agent)
    {
        agent.Up = false;
        agent.Connected = false;
        Peer(agent).Connected = false;
    }

    public void CutLink()
    {
        linkUp = false;
        foreach (ModelAgent agent in Agents)
        {
            agent.Connected = false;
        }
    }

    public void MendLink()
    {
        linkUp = true;

        // A lost connection is taken up again by the primary's own client, which must then copy what it missed.
        foreach (ModelAgent agent in Agents.Where(a => a is { Answers: true, Role: ReplicaRole.Primary, Stage: ReplicaStage.Running, Connected: false }))
        {
            agent.Stage = ReplicaStage.Alone;
        }
    }

    public void FinishWork()
    {
        foreach (ModelAgent agent in Agents.Where(a => a.Answers && a.Opened && a.Role == ReplicaRole.Primary))
        {
            if (agent.Stage == ReplicaStage.FailingOver)
            {
                agent.Stage = ReplicaStage.Alone;
            }

            ModelAgent peer = Peer(agent);
            if (agent.Stage == ReplicaStage.Syncing && agent.Connected && peer.Answers && peer.Term == agent.Term && Truth!.Term == agent.Term)
            {
                peer.Content = agent.Content;
                Truth = Truth with { SecondaryState = SecondaryState.InSync };
                agent.Stage = ReplicaStage.Running;
            }
            else if (agent.Stage == ReplicaStage.Syncing && !agent.Connected)
            {
                agent.Stage = ReplicaStage.Alone;
            }
        }
    }

    public void Heal()
    {
        foreach (ModelAgent agent in Agents)
        {
            agent.Frozen = false;
            Restart(agent);
        }

        MendLink();
        FinishWork();
        Time();
    }

    private ReplicaView View(ModelAgent agent) => !agent.Answers
        ? new ReplicaView(agent.Node, silent[agent.Node] > TimeSpan.Zero ? silent[agent.Node] : TimeSpan.FromMilliseconds(1))
        : new ReplicaView(agent.Node, TimeSpan.Zero)
        {
            Role = agent.Opened ? agent.Role : ReplicaRole.None,
            Stage = agent.Opened ? agent.Stage : ReplicaStage.Absent,
            Term = agent.Opened ? agent.Term : 0,
            Connected = agent.Connected,
        };

    private ModelAgent Peer(ModelAgent agent) => Agents.Single(a => a != agent);

    private void Acknowledge(ModelAgent at, int write)
    {
        Acknowledged = write;
        if (!writerOfTerm.TryAdd(at.Term, at.Node) && writerOfTerm[at.Term] != at.Node)
        {
            throw new InvalidOperationException($"{at.Node} and {writerOfTerm[at.Term]} both acknowledged writes under term {at.Term}");
        }
    }

    private bool Do(VolumeAction action, VolumePlan plan) => action switch
    {
        VolumeAction.CreateRecord create => Change(Truth is null, () => Truth = create.Truth),
        VolumeAction.ReplaceRecord replace => Change(Truth == replace.Expected, () => Record(replace, plan)),
        VolumeAction.PreparePrimary prepare => Change(MayPrepare(this[prepare.Node], prepare.Term) && (this[prepare.Node].Exists || !prepare.MustExist),
            () => Open(this[prepare.Node], ReplicaRole.Primary, prepare.Term)),
        VolumeAction.PrepareSecondary prepare => Change(MayPrepare(this[prepare.Node], prepare.Term),
            () => Open(this[prepare.Node], ReplicaRole.Secondary, prepare.Term)),
        VolumeAction.StartSecondary start => Change(Is(this[start.Node], ReplicaRole.Secondary, start.Term), () => this[start.Node].Stage = ReplicaStage.Running),
        VolumeAction.StartPrimary start => Join(this[start.Node], start.Term),
        VolumeAction.AttachSecondary attach => Join(this[attach.Node], attach.Term),
        VolumeAction.Checkpoint checkpoint => Is(this[checkpoint.Node], ReplicaRole.Primary, checkpoint.Term) && this[checkpoint.Node].Connected,
        VolumeAction.HoldWrites hold => Change(Is(this[hold.Node], ReplicaRole.Primary, hold.Term), () =>
        {
            this[hold.Node].Opened = false;
            this[hold.Node].Connected = false;
            Peer(this[hold.Node]).Connected = false;
        }),
        VolumeAction.Promote promote => Change(MayPromote(promote), () => PromoteNow(this[promote.Node], promote.Term)),
        _ => throw new InvalidOperationException($"the model has no {action}"),
    };

    private void Record(VolumeAction.ReplaceRecord replace, VolumePlan plan)
    {
        if (replace.Next.Term <= Truth!.Term)
        {
            throw new InvalidOperationException($"the term went from {Truth.Term} to {replace.Next.Term}");
        }

        bool accepted = plan.Failover is { LosesWrites: true };
        if (replace.Next.Primary != Truth.Primary && Truth.SecondaryState != SecondaryState.InSync && !accepted)
        {
            throw new InvalidOperationException($"{replace.Next.Primary} was recorded as primary while {Truth.SecondaryState}");
        }

        LossWasAccepted |= accepted;
        Truth = replace.Next;
    }

    private void PromoteNow(ModelAgent agent, long term)
    {
        if (agent.Content < Acknowledged && !LossWasAccepted)
        {
            throw new InvalidOperationException($"{agent.Node} was promoted with write {agent.Content}; {Acknowledged} was acknowledged");
        }

        agent.Role = ReplicaRole.Primary;
        agent.Term = term;
        agent.Stage = ReplicaStage.FailingOver;
        agent.Connected = false;
        Peer(agent).Connected = false;
    }

    private bool MayPromote(VolumeAction.Promote promote) =>
        Is(this[promote.Node], ReplicaRole.Secondary, this[promote.Node].Term) && this[promote.Node].Stage == ReplicaStage.Running && Truth!.Term == promote.Term && Truth.Primary == promote.Node;

    private static bool MayPrepare(ModelAgent agent, long term) => agent.Answers && agent.Term <= term;

    private static bool Is(ModelAgent agent, ReplicaRole role, long term) =>
        agent.Answers && agent.Opened && agent.Role == role && agent.Term == term;

    private void Open(ModelAgent agent, ReplicaRole role, long term)
    {
        agent.Exists = true;
        agent.Opened = true;
        agent.Role = role;
        agent.Term = term;
        agent.Stage = ReplicaStage.Prepared;
        agent.Connected = false;
        Peer(agent).Connected = false;
    }

    private bool Join(ModelAgent agent, long term)
    {
        ModelAgent peer = Peer(agent);
        if (!Is(agent, ReplicaRole.Primary, term) || !Is(peer, ReplicaRole.Secondary, term) || peer.Stage != ReplicaStage.Running || !linkUp ||
            Truth!.Term != term)
        {
            return false;
        }

        Truth = Truth with { SecondaryState = SecondaryState.Syncing };
        agent.Connected = peer.Connected = true;
        agent.Stage = ReplicaStage.Syncing;
        return true;
    }

    private static bool Change(bool allowed, Action change)
    {
        if (allowed)
        {
            change();
        }

        return allowed;
    }
}

internal sealed class ModelAgent(string node)
{
    public string Node { get; } = node;

    public bool Up { get; set; } = true;

    public bool Frozen { get; set; }

    public bool Answers => Up && !Frozen;

    public bool Exists { get; set; }

    public bool Opened { get; set; }

    public ReplicaRole Role { get; set; }

    public ReplicaStage Stage { get; set; }

    public long Term { get; set; }

    public bool Connected { get; set; }

    public int Content { get; set; }
}
