using System.Net;
using System.Text;
using Colo.Api;
using k8s;

namespace Colo.Operator.Quiesce;

/// <summary>
/// Freezes through KubeVirt's subresource of a VirtualMachineInstance, which asks the guest's agent. The guest thaws itself after
/// <see cref="ThawsItself"/>: an operator that dies in between leaves no frozen guest behind.
/// </summary>
public sealed class KubeVirtQuiesce(IKubernetes api, ILogger<KubeVirtQuiesce> log) : IGuestQuiesce
{
    /// <summary>Label or annotation of a ReplicatedVolume: its VirtualMachineInstance, in the same namespace.</summary>
    public const string InstanceKey = "colo.dev/vmi";

    public static readonly TimeSpan ThawsItself = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan CallBound = TimeSpan.FromSeconds(10);

    public async Task<IAsyncDisposable> FreezeAsync(ReplicatedVolume volume, CancellationToken token)
    {
        string instance = InstanceOf(volume.Metadata)
            ?? throw new QuiesceException($"checkpoint.quiesce is GuestAgent, but neither a label nor an annotation {InstanceKey} names the virtual machine");
        string path = $"apis/subresources.kubevirt.io/v1/namespaces/{Uri.EscapeDataString(volume.Metadata.Namespace)}/virtualmachineinstances/{Uri.EscapeDataString(instance)}";
        await PutAsync($"{path}/freeze", $$"""{"unfreezeTimeout":"{{ThawsItself.TotalSeconds:0}}s"}""", instance, token);
        return new Frozen(this, log, $"{path}/unfreeze", instance);
    }

    public static string? InstanceOf(ObjectMetadata metadata) =>
        metadata.Labels?.GetValueOrDefault(InstanceKey) ?? metadata.Annotations?.GetValueOrDefault(InstanceKey);

    private async Task PutAsync(string path, string body, string instance, CancellationToken token)
    {
        using CancellationTokenSource bound = CancellationTokenSource.CreateLinkedTokenSource(token);
        bound.CancelAfter(CallBound);
        using HttpRequestMessage request = new(HttpMethod.Put, new Uri(api.BaseUri, path))
        {
            Content = new StringContent(body, Encoding.UTF8, "application/json"),
        };
        try
        {
            k8s.Kubernetes client = (k8s.Kubernetes)api;
            if (client.Credentials is not null)
            {
                await client.Credentials.ProcessHttpRequestAsync(request, bound.Token);
            }

            using HttpResponseMessage answer = await client.HttpClient.SendAsync(request, bound.Token);
            if (!answer.IsSuccessStatusCode)
            {
                throw new QuiesceException(answer.StatusCode == HttpStatusCode.NotFound
                    ? $"virtual machine {instance} is not running, or KubeVirt is not installed here"
                    : $"virtual machine {instance}: {await answer.Content.ReadAsStringAsync(bound.Token)} ({(int)answer.StatusCode})");
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException && !token.IsCancellationRequested)
        {
            throw new QuiesceException($"virtual machine {instance}: {e.Message}", e);
        }
    }

    private sealed class Frozen(KubeVirtQuiesce owner, ILogger log, string path, string instance) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            try
            {
                // Passes no token: a guest must be thawed whatever ended the checkpoint.
                await owner.PutAsync(path, "{}", instance, CancellationToken.None);
            }
            catch (QuiesceException e)
            {
                log.NotThawed(instance, ThawsItself.TotalSeconds, e.Message);
            }
        }
    }
}
