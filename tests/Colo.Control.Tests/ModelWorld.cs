using Colo.Api;

namespace Colo.Control.Tests;

/// <summary>
/// Agents, links, a record and a guest, as small as they can be and still break their promises when the decisions are wrong. A write is a
/// number; a replica's content is the highest number it holds. Two agents and no list of nodes are one machine; three with a list, a cluster.
/// </summary>
internal sealed class ModelWorld
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private readonly Dictionary<string, TimeSpan> silent = new(StringComparer.Ordinal);
    private readonly Dictionary<long, string> writerOfTerm = [];
    private readonly Dictionary<string, TimeSpan> hanging = new(StringComparer.Ordinal);
    private readonly bool manual;
    private readonly bool cluster;
    private string? observedPrimaryNode;

    public ModelWorld(bool manual, bool cluster = false)
    {
        this.manual = manual;
        this.cluster = cluster;
        Agents = [new ModelAgent("node-a"), new ModelAgent("node-b"), .. cluster ? [new ModelAgent("node-c")] : Array.Empty<ModelAgent>()];
        foreach (ModelAgent agent in Agents)
        {
            silent[agent.Node] = TimeSpan.Zero;
        }
    }

    public ModelAgent[] Agents { get; }

    public VolumeTruth? Truth { get; private set; }

    public VolumeIntent Intent { get; set; } = VolumeIntent.None;

    public string PrimaryNode { get; set; } = "";

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
            hanging[agent.Node] = agent.DiskHangs ? hanging.GetValueOrDefault(agent.Node) + Tick : TimeSpan.Zero;
        }
    }

    /// <summary>The machine is gone, and its node object with it, for long enough that everybody believes it.</summary>
    public void Decommission(ModelAgent agent)
    {
        Kill(agent);
        agent.Listed = false;
        silent[agent.Node] += Replacement.GoneGrace;
    }

    /// <summary>Plans, then does at most <paramref name="actionsBeforeDeath"/> of the actions: whoever drives may die anywhere.</summary>
    public void Round(int actionsBeforeDeath)
    {
        ReplicatedVolumeSpec spec = Given.Spec(manual ? FailoverMode.Manual : FailoverMode.Automatic);
        spec = spec with { Placement = spec.Placement with { PrimaryNode = PrimaryNode } };
        VolumePlan plan = VolumeReconciler.Plan(new VolumeInput(Given.Uid, spec, Truth, [.. Agents.Select(View)], Intent)
        {
            Candidates = cluster ? [.. Agents.Where(a => a.Listed).Select(Facts)] : null,
            PrimaryNodeBefore = observedPrimaryNode,
        });
        LastPlan = plan;
        RequirePromotionsOfTheRecorded(plan);
        Intent = Intent with
        {
            SwitchOverTo = plan.Switchover is { Step: SwitchoverStep.NotReady or SwitchoverStep.Done } ? null : Intent.SwitchOverTo,
            Resync = plan.Refill is { Step: RefillStep.Refused } ? null : Intent.Resync,
        };
        observedPrimaryNode = Truth is null ? null
            : observedPrimaryNode is null || PrimaryNode.Length == 0 || PrimaryNode == Truth.Primary ? PrimaryNode
            : observedPrimaryNode;
        foreach (VolumeAction action in plan.Actions.Take(actionsBeforeDeath))
        {
            if (!Do(action, plan))
            {
                return;
            }

            if (plan.Situation == VolumeSituation.Refilling && action is VolumeAction.DeleteReplica)
            {
                Intent = Intent with { Resync = null };
            }
        }
    }

    private void RequirePromotionsOfTheRecorded(VolumePlan plan)
    {
        VolumeTruth? named = Truth;
        foreach (VolumeAction action in plan.Actions)
        {
            named = action is VolumeAction.ReplaceRecord replace ? replace.Next : named;
            if (action is VolumeAction.Promote promote && (promote.Node, promote.Term) != (named?.Primary, named?.Term))
            {
                throw new InvalidOperationException($"{promote.Node} is asked to serve under term {promote.Term} while the record is {named}");
            }
        }
    }

    public void GuestWrite(ModelAgent at)
    {
        if (!at.Answers || at.DiskHangs || !at.Opened || at.Role != ReplicaRole.Primary || !View(at).Serves)
        {
            return;
        }

        int write = ++nextWrite;
        at.Content = write;
        ModelAgent? peer = Peer(at);
        if (at.Stage == ReplicaStage.Running || at.Stage == ReplicaStage.Syncing)
        {
            if (at.Connected && peer is { Answers: true, Opened: true } && peer.Role == ReplicaRole.Secondary && peer.Term == at.Term)
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

        MarkStale();
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
        Disconnect(agent);
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

            ModelAgent? peer = Peer(agent);
            if (agent.Stage == ReplicaStage.Syncing && agent.Connected && peer is { Answers: true } && peer.Term == agent.Term && Truth!.Term == agent.Term)
            {
                // By the primary's own word, whomever the record named meanwhile: that is how the agent does it.
                peer.Content = agent.Content;
                Truth = Truth with { Secondary = peer.Node, SecondaryState = SecondaryState.InSync };
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
            (agent.Frozen, agent.DiskHangs, agent.Listed) = (false, false, true);
            (agent.Cordoned, agent.Excluded) = (agent.Cordoned && Truth is not null, agent.Excluded && Truth is not null);
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
            PeerNode = agent.Opened ? agent.PeerNode : null,
            PoolFailingFor = agent.DiskHangs ? hanging.GetValueOrDefault(agent.Node) : null,
        };

    private NodeFacts Facts(ModelAgent agent) => new(agent.Node)
    {
        AgentAnswers = agent.Answers,
        Schedulable = !agent.Cordoned,
        Excluded = agent.Excluded,
        Pools = new Dictionary<string, PoolFacts>(StringComparer.Ordinal) { ["default"] = new(long.MaxValue, !agent.DiskHangs) },
    };

    private ModelAgent? Peer(ModelAgent agent) => Agents.FirstOrDefault(a => a.Node == agent.PeerNode);

    /// <summary>Both ends of whatever connection it had.</summary>
    private void Disconnect(ModelAgent agent)
    {
        foreach (ModelAgent other in Agents.Where(a => a.PeerNode == agent.Node || a.Node == agent.PeerNode))
        {
            other.Connected = false;
        }

        agent.Connected = false;
    }

    private void MarkStale() => Truth = Truth! with { SecondaryState = Truth.Secondary.Length == 0 ? SecondaryState.None : SecondaryState.Stale };

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
        VolumeAction.StartPrimary start => Join(this[start.Node], start.SecondaryNode, start.Term),
        VolumeAction.AttachSecondary attach => Join(this[attach.Node], attach.SecondaryNode, attach.Term),
        VolumeAction.DetachSecondary detach => Change(Is(this[detach.Node], ReplicaRole.Primary, detach.Term) && Truth!.Term == detach.Term, () =>
        {
            MarkStale();
            this[detach.Node].Stage = ReplicaStage.Alone;
            Disconnect(this[detach.Node]);
        }),
        VolumeAction.DeleteReplica delete => Change(MayPrepare(this[delete.Node], delete.Term), () => Delete(this[delete.Node])),
        VolumeAction.Checkpoint checkpoint => Is(this[checkpoint.Node], ReplicaRole.Primary, checkpoint.Term) && this[checkpoint.Node].Connected,
        VolumeAction.HoldWrites hold => Change(Is(this[hold.Node], ReplicaRole.Primary, hold.Term), () =>
        {
            this[hold.Node].Opened = false;
            Disconnect(this[hold.Node]);
        }),
        VolumeAction.Promote promote => Change(MayPromote(promote), () => PromoteNow(this[promote.Node], promote.Term)),
        _ => throw new InvalidOperationException($"the model has no {action}"),
    };

    private void Record(VolumeAction.ReplaceRecord replace, VolumePlan plan)
    {
        bool sameTerm = replace.Next.Term == Truth!.Term && replace.Next.Primary == Truth.Primary;
        if (replace.Next.Term <= Truth.Term && !sameTerm)
        {
            throw new InvalidOperationException($"{Truth} became {replace.Next}");
        }

        if (sameTerm && replace.Next.SecondaryState != SecondaryState.Syncing)
        {
            throw new InvalidOperationException($"{replace.Next.Secondary} was recorded as {replace.Next.SecondaryState} by somebody who cannot know");
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
        Disconnect(agent);
    }

    /// <summary>What a person accepted to lose is lost already when a copy is dropped.</summary>
    private void Delete(ModelAgent agent)
    {
        if (agent.Node == Truth!.Primary || (agent.Node == Truth.Secondary && Truth.SecondaryState == SecondaryState.InSync))
        {
            throw new InvalidOperationException($"the replica of {agent.Node} was deleted while the record is {Truth}");
        }

        Disconnect(agent);
        (agent.Opened, agent.Exists, agent.Content, agent.PeerNode) = (false, false, 0, null);
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
        Disconnect(agent);
    }

    private bool Join(ModelAgent agent, string secondary, long term)
    {
        ModelAgent peer = this[secondary];
        bool attached = agent.Connected && agent.Stage is ReplicaStage.Running or ReplicaStage.Syncing;
        if (attached || !Is(agent, ReplicaRole.Primary, term) || !Is(peer, ReplicaRole.Secondary, term) || peer.Stage != ReplicaStage.Running || !linkUp ||
            Truth!.Term != term)
        {
            return false;
        }

        Truth = Truth with { Secondary = secondary, SecondaryState = SecondaryState.Syncing };
        agent.PeerNode = secondary;
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
