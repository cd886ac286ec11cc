using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Colo.AgentApi;
using Colo.Kubernetes;
using Colo.Operator.Options;
using k8s;
using k8s.Models;

namespace Colo.Operator.Tls;

/// <summary>
/// Gives each node's agent a certificate of its own: approves and signs, or denies in words, every CertificateSigningRequest for
/// <see cref="AgentCertificates.Signer"/>. One decision a request; requests that somebody else decided are left alone, save that what a
/// person approved by hand is not signed where it does not hold. Runs while this operator leads.
/// </summary>
internal sealed class CertificateDesk : IReconciler
{
    public const string Name = "certificatesigningrequest";
    private const string Approved = "Approved";
    private const string Denied = "Denied";
    private const string Failed = "Failed";
    private const int Workers = 2;

    private readonly ResourceClient<V1CertificateSigningRequest> requests;
    private readonly ResourceClient<V1Pod> pods;
    private readonly Informer<V1CertificateSigningRequest> informer;
    private readonly WorkQueue queue;
    private readonly AgentAuthority authority;
    private readonly SigningFiles files;
    private readonly string podNamespace;
    private readonly TimeProvider time;
    private readonly ILogger<CertificateDesk> log;

    public CertificateDesk(IKubernetes api, SigningFiles files, OperatorOptions options, TimeProvider time, ILogger<CertificateDesk> log)
    {
        (this.files, this.time, this.log, podNamespace) = (files, time, log, options.Namespace);
        authority = new AgentAuthority(files, time);
        requests = new(api, ResourceTypes.CertificateSigningRequests, time);
        pods = new(api, ResourceTypes.Pods, time);
        queue = new WorkQueue(Name, new WorkQueueOptions { MaxDelay = TimeSpan.FromSeconds(10) }, time);
        informer = new(
            api, ResourceTypes.CertificateSigningRequests, new InformerOptions { FieldSelector = $"spec.signerName={AgentCertificates.Signer}" }, time, log);
        informer.Changed += change => queue.Add(change.Key);
    }

    private string Account => $"system:serviceaccount:{podNamespace}:{files.AgentServiceAccount}";

    /// <summary>Until cancelled.</summary>
    public Task RunAsync(CancellationToken token) => Task.WhenAll(
        informer.RunAsync(token), new Controller(queue, this, new ControllerOptions { Name = Name, Workers = Workers }, time, log).RunAsync(token));

    public async ValueTask<ReconcileResult> ReconcileAsync(ObjectKey key, CancellationToken token)
    {
        if (await requests.FindAsync(key, token) is not { IsBeingDeleted: false } found || !IsOpen(found.Value))
        {
            return ReconcileResult.Done;
        }

        (AgentRequest? asked, string refusal) = AgentRequest.Read(found.Value.Spec, Account);
        V1Pod? pod = asked is null ? null : (await pods.FindAsync(new(podNamespace, asked.Pod), token))?.Value;
        if (asked is null || asked.RefusalFor(pod, files.AgentServiceAccount) is { } why && (refusal = why).Length > 0)
        {
            log.CertificateDenied(key.Name, found.Value.Spec.Username, refusal);
            bool isApproved = Has(found.Value, Approved);
            await DecideAsync(found, isApproved ? Failed : Denied, "NotOfThisAgent", refusal, isApproved ? "status" : "approval", token);
            return ReconcileResult.Done;
        }

        string node = pod!.Spec.NodeName;
        if (!Has(found.Value, Approved))
        {
            found = await DecideAsync(found, Approved, "AgentOfItsNode", $"the pod {asked.Pod} is the agent of {node}", "approval", token);
        }

        await SignAsync(found, asked, node, token);
        return ReconcileResult.Done;
    }

    private static bool IsOpen(V1CertificateSigningRequest request) =>
        request.Status?.Certificate is not { Length: > 0 } && !Has(request, Denied) && !Has(request, Failed);

    private static bool Has(V1CertificateSigningRequest request, string condition) =>
        request.Status?.Conditions?.Any(c => c.Type == condition) == true;

    /// <summary>At the version that was read: whoever decided meanwhile has decided.</summary>
    private Task<Resource<V1CertificateSigningRequest>> DecideAsync(
        Resource<V1CertificateSigningRequest> found, string condition, string reason, string message, string subresource, CancellationToken token)
    {
        JsonObject document = Document(found);
        document["status"]!["conditions"] = new JsonArray(
        [
            .. (found.Value.Status?.Conditions ?? []).Select(c => Condition(c.Type, c.Reason, c.Message)), Condition(condition, reason, message),
        ]);
        return requests.ReplaceAsync(found.Key, document, subresource, token);
    }

    private async Task SignAsync(Resource<V1CertificateSigningRequest> found, AgentRequest asked, string node, CancellationToken token)
    {
        JsonObject document = Document(found);
        document["status"]!["conditions"] = new JsonArray([.. found.Value.Status!.Conditions.Select(c => Condition(c.Type, c.Reason, c.Message))]);
        try
        {
            document["status"]!["certificate"] = Convert.ToBase64String(Encoding.ASCII.GetBytes(authority.Sign(asked.Key, node)));
        }
        catch (Exception e) when (e is CryptographicException or IOException or UnauthorizedAccessException)
        {
            // Tried again with backoff: the agent goes on with what it has, and whoever mends the files need not start anything again.
            throw new IOException($"the certificate of {node} is not signed: {files.CertificateFile}, {files.KeyFile}: {e.Message}", e);
        }

        await requests.ReplaceAsync(found.Key, document, "status", token);
        log.CertificateSigned(node, found.Key.Name);
    }

    private static JsonObject Document(Resource<V1CertificateSigningRequest> found) => new()
    {
        ["apiVersion"] = ResourceTypes.CertificateSigningRequests.ApiVersion,
        ["kind"] = ResourceTypes.CertificateSigningRequests.Kind,
        ["metadata"] = new JsonObject { ["name"] = found.Key.Name, ["resourceVersion"] = found.ResourceVersion },
        ["spec"] = new JsonObject
        {
            ["request"] = Convert.ToBase64String(found.Value.Spec.Request),
            ["signerName"] = found.Value.Spec.SignerName,
            ["usages"] = new JsonArray([.. found.Value.Spec.Usages.Select(u => (JsonNode)u)]),
        },
        ["status"] = new JsonObject(),
    };

    private static JsonObject Condition(string type, string reason, string message) =>
        new() { ["type"] = type, ["status"] = "True", ["reason"] = reason, ["message"] = message };
}
