namespace Colo.Kubernetes;

/// <summary>Brings one object nearer to what it asks for. Called again and again, after any change, failure or restart: it reads what is
/// the case, never what it did before.</summary>
public interface IReconciler
{
    ValueTask<ReconcileResult> ReconcileAsync(ObjectKey key, CancellationToken token);
}

/// <summary>Done, and to be looked at again after <paramref name="RequeueAfter"/> where that is said.</summary>
public readonly record struct ReconcileResult(TimeSpan? RequeueAfter)
{
    public static ReconcileResult Done => default;

    public static ReconcileResult After(TimeSpan delay) => new(delay);
}
