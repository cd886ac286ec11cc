namespace Colo.Replication;

/// <summary>The one secondary that is attached, or none: it comes and goes together with the quorum's remote child.</summary>
internal sealed class AttachedSecondary(Quorum quorum, Divergence divergence, OwnedTasks tasks)
{
    private Attachment? current;

    public Attachment? Current => Volatile.Read(ref current);

    /// <summary>It holds everything that the local disk holds: where that one fails, this one may be read.</summary>
    public bool IsReadable => Current is { IsReadable: true };

    /// <summary>While the gate is held and drained, before the state says Replicating.</summary>
    public void Add(Attachment added)
    {
        quorum.AddChild(added.Link);
        Volatile.Write(ref current, added);
        divergence.Unsure = added.Unsure;
    }

    /// <summary>Takes back an <see cref="Add"/> that nobody has seen; the link stays the caller's.</summary>
    public void TakeBack()
    {
        Volatile.Write(ref current, null);
        quorum.RemoveChild();
    }

    public void LetGo()
    {
        Interlocked.Exchange(ref current, null)?.Stop();
        if (quorum.RemoveChild() is { } link)
        {
            // Answers the forwards that are pending; it may take as long as a hung peer likes, and nobody waits for it but Dispose.
            tasks.Own(Task.Run(async () => await link.DisposeAsync()));
        }
    }
}
