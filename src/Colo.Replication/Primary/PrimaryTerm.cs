namespace Colo.Replication;

/// <summary>
/// The term under which this primary serves: confirmed by the arbiter before the first request, and over for good as soon as a newer one
/// is shown to this node or found in the record. Then the primary is fenced.
/// </summary>
internal sealed class PrimaryTerm
{
    private readonly Term term;
    private readonly string node;
    private readonly TermGuard terms;
    private readonly RecordKeeper records;
    private readonly ServeSwitch serve;
    private readonly AttachedSecondary secondary;
    private readonly ReplicaLineage? lineage;
    private readonly TaskCompletionSource confirmed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public PrimaryTerm(Term term, string node, TermGuard terms, RecordKeeper records, ServeSwitch serve, AttachedSecondary secondary, ReplicaLineage? lineage)
    {
        this.term = term;
        this.node = node;
        this.terms = terms;
        this.records = records;
        this.serve = serve;
        this.secondary = secondary;
        this.lineage = lineage;

        // Whoever never asks for Confirmed must not be told of it by the finalizer.
        _ = confirmed.Task.ContinueWith(
            static ended => _ = ended.Exception,
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
    }

    public Term Value => term;

    /// <summary>This one.</summary>
    public string Node => node;

    public Task Confirmed => confirmed.Task;

    /// <summary>Asks the arbiter, and lets the primary serve. True where it is to wait for a secondary that the record says is InSync.</summary>
    public async Task<bool> ConfirmAsync(CancellationToken token)
    {
        RecordOutcome outcome = await records.ConfirmAsync(token);
        if (outcome == RecordOutcome.Superseded)
        {
            Fence($"the record says {records.Current}");
            return false;
        }

        bool inSync = records.Current!.SecondaryState == SecondaryState.InSync;
        if (!inSync && lineage is not null)
        {
            // The former process may have died between the record and this.
            await lineage.GoAloneAsync([]);
        }

        serve.TryChange(
            [ServeState.Confirming],
            inSync ? ServeState.Waiting : ServeState.Alone,
            inSync ? $"waits for its secondary {records.Current.Secondary}" : "there is no secondary in sync");
        confirmed.TrySetResult();
        return inSync;
    }

    /// <summary>A lower term is refused; a higher one means that this replica's reign is over.</summary>
    public async ValueTask CheckAsync(Term shown)
    {
        if (await terms.AcceptAsync(shown) || shown > term)
        {
            Fence($"{shown} was shown to this node");
        }

        if (serve.State == ServeState.Fenced)
        {
            throw Over(serve.Reason);
        }
    }

    /// <summary>For a call that only asks: a lower term is refused, a higher one changes nothing.</summary>
    public void Refuse(Term shown) => terms.Refuse(shown);

    public async ValueTask FenceAsync(Term newer)
    {
        if (newer <= term)
        {
            throw new StaleTermException(newer, term);
        }

        await terms.AcceptAsync(newer);
        Fence($"{newer} was shown to this node");
    }

    public async Task RecordAsync(string secondaryNode, SecondaryState state, CancellationToken token)
    {
        RecordOutcome outcome = await records.SetSecondaryAsync(secondaryNode, state, token);
        if (outcome == RecordOutcome.Superseded)
        {
            Fence($"the record says {records.Current}");
            throw Over(serve.Reason);
        }
    }

    public void Fence(string reason)
    {
        if (serve.TryChange(
            [ServeState.Confirming, ServeState.Waiting, ServeState.Replicating, ServeState.Suspended, ServeState.Alone],
            ServeState.Fenced,
            reason))
        {
            confirmed.TrySetException(Over(reason));
            secondary.LetGo();
        }
    }

    /// <summary>The replica is disposed: whoever still waits for <see cref="Confirmed"/> ends.</summary>
    public void Close() => confirmed.TrySetCanceled(CancellationToken.None);

    private ReplicationException Over(string reason) => new(ReplicationFault.Superseded, $"{term} is over: {reason}");
}
