using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s;
using k8s.Models;
using Microsoft.Extensions.Logging;

namespace Colo.Kubernetes;

/// <summary>
/// One candidate's moves on the Lease, each a compare-and-swap on its resource version. Times in the Lease are written for people: who
/// takes over has seen the Lease unchanged for its duration by its own monotonic clock. Not for two callers at once.
/// </summary>
internal sealed class LeaseCandidate(IKubernetes client, LeaderElectionOptions options, TimeProvider time, ILogger log)
{
    /// <summary>Of the Lease's duration, where its holder is known to be gone: more than one renewal must have been missed.</summary>
    private const int PartForWhoIsGone = 3;

    private readonly ResourceClient<V1Lease> leases = new(client, ResourceTypes.Leases, time) { RequestTimeout = options.RenewDeadline / 2 };
    private readonly ObjectKey key = new(options.Namespace, options.Name);

    /// <summary>The Lease as last seen; null: there is none.</summary>
    private Resource<V1Lease>? seen;

    /// <summary>Since when it is seen like that.</summary>
    private long seenSince = time.GetTimestamp();
    private bool wasThereOnce;
    private long renewedAt;
    private string? toldHolder;

    /// <summary>When the request that last acquired or renewed was sent: others count from later.</summary>
    public long RenewedAt => Volatile.Read(ref renewedAt);

    /// <summary>By other evidence than the Lease: it is worth to look again soon.</summary>
    public bool IsHolderGone => seen?.Value.Spec?.HolderIdentity is { Length: > 0 } holder && options.IsHolderGone(holder, time.GetElapsedTime(seenSince));

    /// <summary>One attempt; false where another holds it, or nobody answered.</summary>
    public async Task<bool> TryAcquireAsync(CancellationToken token)
    {
        try
        {
            Look(await leases.FindAsync(key, token));
            if (!MayTake())
            {
                TellHolder();
                return false;
            }

            await WriteAsync(options.Identity, isNewTerm: true, token);
            return true;
        }
        catch (ApiException e)
        {
            log.LeaseAttemptFailed(key, e.Message);
            return false;
        }
    }

    /// <summary>One attempt to stay. Null: renewed, or to be tried again (then <see cref="RenewedAt"/> stands still); else who took it.</summary>
    public async Task<string?> RenewAsync(TimeSpan within, CancellationToken token)
    {
        using CancellationTokenSource limit = new(within, time);
        using CancellationTokenSource either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, token);
        try
        {
            return await RenewAsync(either.Token);
        }
        catch (ApiException e)
        {
            log.LeaseAttemptFailed(key, e.Message);
            return null;
        }
        catch (OperationCanceledException) when (!token.IsCancellationRequested)
        {
            log.LeaseAttemptFailed(key, "no answer before the deadline");
            return null;
        }
    }

    /// <summary>Lets others take over at once. Best effort: else they wait for its duration.</summary>
    public async Task ReleaseAsync()
    {
        try
        {
            // CancellationToken.None: a shutdown must not cut off what makes the next leader quick; the request has its own bound.
            await WriteAsync(string.Empty, isNewTerm: false, CancellationToken.None);
            log.Released(key, options.Identity);
        }
        catch (ApiException e)
        {
            log.NotReleased(key, options.Identity, e.Message);
        }
    }

    private async Task<string?> RenewAsync(CancellationToken token)
    {
        try
        {
            await WriteAsync(options.Identity, isNewTerm: false, token);
            return null;
        }
        catch (ApiException e) when (e.Kind is ApiErrorKind.Conflict or ApiErrorKind.NotFound or ApiErrorKind.AlreadyExists)
        {
            // Another's write: a label, a deletion, our own renewal whose answer was lost, or another leader.
            Look(await leases.FindAsync(key, token));
        }

        if (seen is not null && seen.Value.Spec?.HolderIdentity != options.Identity)
        {
            return string.IsNullOrEmpty(seen.Value.Spec?.HolderIdentity) ? "nobody" : seen.Value.Spec.HolderIdentity;
        }

        await WriteAsync(options.Identity, isNewTerm: false, token);
        return null;
    }

    private void Look(Resource<V1Lease>? latest)
    {
        if (latest?.Uid != seen?.Uid || latest?.ResourceVersion != seen?.ResourceVersion)
        {
            seenSince = time.GetTimestamp();
        }

        seen = latest;
        wasThereOnce |= latest is not null;
    }

    private bool MayTake()
    {
        TimeSpan unchanged = time.GetElapsedTime(seenSince);
        if (seen is null)
        {
            // One that was there and is gone may have been deleted under a leader: it counts as held until its time is over.
            return !wasThereOnce || unchanged >= options.LeaseDuration;
        }

        TimeSpan duration = TimeSpan.FromSeconds(seen.Value.Spec?.LeaseDurationSeconds ?? 0);
        TimeSpan needed = duration > options.LeaseDuration ? duration : options.LeaseDuration;
        string? holder = seen.Value.Spec?.HolderIdentity;
        if (string.IsNullOrEmpty(holder) || holder == options.Identity || unchanged >= needed)
        {
            return true;
        }

        if (unchanged < needed / PartForWhoIsGone || !IsHolderGone)
        {
            return false;
        }

        log.HolderGone(key, holder, unchanged.TotalSeconds, needed.TotalSeconds);
        return true;
    }

    private void TellHolder()
    {
        string holder = seen?.Value.Spec?.HolderIdentity ?? "nobody, it was deleted";
        if (holder != toldHolder)
        {
            toldHolder = holder;
            log.Waiting(key, options.Identity, holder);
        }
    }

    private async Task WriteAsync(string holder, bool isNewTerm, CancellationToken token)
    {
        long sent = time.GetTimestamp();
        JsonObject document = Document(holder, isNewTerm);
        Look(seen is null
            ? await leases.CreateAsync(key.Namespace, document, token)
            : await leases.ReplaceAsync(key, document, null, token));
        Volatile.Write(ref renewedAt, sent);
    }

    /// <summary>The whole Lease with our spec; labels and owners that others set stay. It carries the version that was seen.</summary>
    private JsonObject Document(string holder, bool isNewTerm)
    {
        JsonObject document = seen is null
            ? new JsonObject
            {
                ["apiVersion"] = ResourceTypes.Leases.ApiVersion,
                ["kind"] = ResourceTypes.Leases.Kind,
                ["metadata"] = new JsonObject { ["name"] = key.Name, ["namespace"] = key.Namespace },
            }
            : JsonSerializer.SerializeToNode(seen.Value, ObjectJson.Options)!.AsObject();
        string now = time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
        JsonObject spec = document["spec"] as JsonObject ?? [];
        document["spec"] = spec;
        spec["holderIdentity"] = holder;
        spec["leaseDurationSeconds"] = holder.Length == 0 ? 1 : (int)Math.Ceiling(options.LeaseDuration.TotalSeconds);
        spec["renewTime"] = now;
        if (isNewTerm)
        {
            spec["acquireTime"] = now;
            spec["leaseTransitions"] = (seen?.Value.Spec?.LeaseTransitions ?? -1) + 1;
        }

        return document;
    }
}
