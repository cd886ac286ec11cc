using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using k8s;
using k8s.Autorest;
using k8s.Models;

namespace Colo.AgentApi;

/// <summary>
/// The record of a volume as fields of its ReplicatedVolume's status: term, currentPrimary, currentSecondary, secondaryState and
/// recordRevision. Reads are linearizable (no resourceVersion is asked for, so the API server asks etcd). A change is one patch that the
/// API server applies only where uid and record are as expected, so that of two writers exactly one wins and changes of anything else do
/// not disturb; where it refuses, the object is read and compared here, and changed under its resourceVersion. Keeps nothing between two
/// calls.
/// </summary>
/// <remarks>The client is the caller's. One that multiplexes its requests over one connection (HTTP/2) waits out that connection's death;
/// give one that does not.</remarks>
public sealed class VolumeRecordObject : IVolumeRecordStore
{
    private const string Group = "colo.dev";
    private const string Version = "v1alpha1";
    private const string Plural = "replicatedvolumes";

    private readonly IKubernetes client;
    private readonly string @namespace;
    private readonly string name;
    private readonly string uid;
    private readonly VolumeRecordObjectOptions options;

    public VolumeRecordObject(
        IKubernetes client, string @namespace, string name, string uid, VolumeRecordObjectOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentException.ThrowIfNullOrEmpty(@namespace);
        ArgumentException.ThrowIfNullOrEmpty(name);
        VolumeRecordFile.ValidateUid(uid);
        (this.client, this.@namespace, this.name, this.uid) = (client, @namespace, name, uid);
        this.options = options ?? new();
        Location = $"{Plural}.{Group} {@namespace}/{name}";
    }

    public string Location { get; }

    /// <param name="Record">null where its status holds none.</param>
    /// <param name="ResourceVersion">Of the whole object.</param>
    private sealed record Found(VolumeRecord? Record, string ResourceVersion);

    public async Task<VolumeRecord?> ReadAsync(CancellationToken token) => (await FindAsync(token))?.Record;

    /// <exception cref="InvalidDataException">there is no such object to hold it.</exception>
    public Task<RecordChange> TryCreateAsync(VolumeRecord first, CancellationToken token)
    {
        ArgumentNullException.ThrowIfNull(first);
        Require(first.Uid == uid, first);
        return ChangeAsync(
            found => found is null ? throw new InvalidDataException($"{Location} does not exist")
                : found.Record is null ? VolumeRecordFields.Write(Checked(first, revision: 1))
                : null,
            token);
    }

    public async Task<RecordChange> TryReplaceAsync(VolumeRecord expected, VolumeRecord next, CancellationToken token)
    {
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(next);
        Require(next.Uid == uid && next.Term >= expected.Term, next);
        JsonObject fields = VolumeRecordFields.Write(Checked(next, expected.Revision + 1));
        V1Patch tested = new(VolumeRecordFields.TestedPatch(uid, expected, fields).ToJsonString(), V1Patch.PatchType.JsonPatch);
        return await PatchAsync(tested, token) is { } changed
            ? new(true, Parse(changed).Record)
            : await ChangeAsync(found => found?.Record == expected ? fields : null, token);
    }

    public Task DeleteAsync(CancellationToken token) =>
        ChangeAsync(found => found?.Record is null ? null : VolumeRecordFields.Nothing(), token);

    /// <param name="decide">What to write into the status, given what is there; null: nothing, the change is not done.</param>
    /// <param name="token">Gives up waiting.</param>
    private async Task<RecordChange> ChangeAsync(Func<Found?, JsonObject?> decide, CancellationToken token)
    {
        for (int attempt = 0; attempt < options.MaxAttempts; attempt++)
        {
            Found? found = await FindAsync(token);
            if (decide(found) is not { } fields)
            {
                return new(false, found?.Record);
            }

            // Its refusal is final, so trying again cannot do the change twice; a request that ends without an answer is never
            // repeated here, because nobody could tell then whose the record is.
            JsonObject patch = new()
            {
                ["metadata"] = new JsonObject { ["resourceVersion"] = found!.ResourceVersion },
                ["status"] = fields.DeepClone(),
            };
            if (await PatchAsync(new(patch.ToJsonString(), V1Patch.PatchType.MergePatch), token) is { } changed)
            {
                return new(true, Parse(changed).Record);
            }
        }

        throw new IOException($"{Location} changed {options.MaxAttempts} times while its record was to be written");
    }

    private async Task<Found?> FindAsync(CancellationToken token) =>
        await AskAsync(
            async limit =>
            {
                using HttpOperationResponse<JsonElement> answer = await client.CustomObjects
                    .GetNamespacedCustomObjectWithHttpMessagesAsync<JsonElement>(Group, Version, @namespace, Plural, name, cancellationToken: limit);
                return answer.Body;
            },
            refusalCounts: false,
            token) is { } volume
            ? Parse(volume)
            : null;

    /// <returns>The object as changed; null where it is refused (it changed meanwhile, is not as tested, is gone).</returns>
    private Task<JsonElement?> PatchAsync(V1Patch patch, CancellationToken token) => AskAsync(
        async limit =>
        {
            using HttpOperationResponse<JsonElement> answer = await client.CustomObjects
                .PatchNamespacedCustomObjectStatusWithHttpMessagesAsync<JsonElement>(
                    patch, Group, Version, @namespace, Plural, name, cancellationToken: limit);
            return answer.Body;
        },
        refusalCounts: patch.Type == V1Patch.PatchType.JsonPatch,
        token);

    /// <returns>null for "not found", "conflict" and, where it counts, a test that failed (422), which are answers; everything else that
    /// is not a success is none.</returns>
    private async Task<JsonElement?> AskAsync(
        Func<CancellationToken, Task<JsonElement>> request, bool refusalCounts, CancellationToken token)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(token);
        limit.CancelAfter(options.RequestTimeout);
        try
        {
            return await request(limit.Token);
        }
        catch (OperationCanceledException) when (token.IsCancellationRequested)
        {
            throw;
        }
        catch (OperationCanceledException e)
        {
            throw new IOException($"{Location}: the API server does not answer within {options.RequestTimeout.TotalSeconds:0.#} s", e);
        }
        catch (HttpOperationException e) when (IsAnswer(e, refusalCounts))
        {
            return null;
        }
        catch (HttpOperationException e)
        {
            throw new IOException($"{Location}: {(int)e.Response.StatusCode} {Sentence(e)}", e);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{Location}: the API server's answer is no object: {e.Message}", e);
        }
        catch (Exception e)
        {
            // Dialling, TLS, credentials: whatever the way to the API server does.
            throw new IOException($"{Location}: {e.GetBaseException().Message}", e);
        }
    }

    /// <summary>An API server that starts answers 404 to a kind that it has not loaded yet: only one that names the object counts.</summary>
    private bool IsAnswer(HttpOperationException e, bool refusalCounts) => e.Response.StatusCode switch
    {
        HttpStatusCode.Conflict => true,
        HttpStatusCode.UnprocessableEntity => refusalCounts,
        HttpStatusCode.NotFound => StatusOf(e) is { Reason: "NotFound" } status && status.Details?.Name == name,
        _ => false,
    };

    private static string Sentence(HttpOperationException e) => StatusOf(e)?.Message ?? e.Response.StatusCode.ToString();

    private static V1Status? StatusOf(HttpOperationException e)
    {
        try
        {
            return KubernetesJson.Deserialize<V1Status>(e.Response.Content);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <exception cref="InvalidDataException">it is another object of the same name.</exception>
    private Found Parse(JsonElement volume)
    {
        JsonElement? metadata = VolumeRecordFields.Member(volume, "metadata");
        string? Text(string member) => metadata is { } m ? VolumeRecordFields.Member(m, member)?.GetString() : null;
        return Text("uid") is not { } found || Text("resourceVersion") is not { } resourceVersion
                ? throw new InvalidDataException($"{Location}: an object without uid or resourceVersion")
            : found != uid ? throw new InvalidDataException($"{Location} is another volume now: uid {found}, not {uid}")
            : new(VolumeRecordFields.Read(uid, volume, Location), resourceVersion);
    }

    /// <summary>Through the constructor: a with-expression can reach a state that no reader would accept.</summary>
    private static VolumeRecord Checked(VolumeRecord record, long revision) =>
        new(record.Uid, record.Term, record.Primary, record.Secondary, record.SecondaryState, revision);

    private void Require(bool allowed, VolumeRecord record)
    {
        if (!allowed)
        {
            throw new ArgumentException($"{record.Uid} term {record.Term} cannot follow in the record of {uid}", nameof(record));
        }
    }
}
