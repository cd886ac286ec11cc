using System.Text.Json.Nodes;
using Colo.Cluster.Load;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Cluster.Lab;

/// <summary>
/// One ReplicatedVolume of a scenario's own, made and driven by kubectl as a person would, with a journal of all that was written to it.
/// Disposing it deletes the object and waits until it is gone.
/// </summary>
internal sealed class Volume : IAsyncDisposable
{
    private const int SizeMebibytes = 64;

    /// <summary>Half of the disk: the rest stays as it is, so that a misplaced write is seen by the comparison of both replicas.</summary>
    private const int JournalSlots = (SizeMebibytes << 20) / 2 / WriteJournal.SlotBytes;

    private readonly KubeCluster cluster;
    private bool isDeleted;

    private Volume(KubeCluster cluster, string name, string primary, string secondary)
    {
        (this.cluster, Name) = (cluster, name);
        (Primary, Secondary) = (cluster.NodeOf(primary), cluster.NodeOf(secondary));
    }

    public string Name { get; }

    /// <summary>As it was placed at first; what is the case now is in the status.</summary>
    public Node Primary { get; }

    public Node Secondary { get; }

    public string Uid { get; private set; } = "";

    public WriteJournal Journal { get; } = new(JournalSlots, (ulong)Random.Shared.NextInt64());

    /// <summary>Applies a manifest that has nothing but what must be said.</summary>
    public static async Task<Volume> ApplyAsync(KubeCluster cluster, Node primary, Node secondary)
    {
        string name = Notes.Scenario.ToLowerInvariant().Replace('_', '-');
        name = name[..Math.Min(name.Length, 40)].Trim('-');
        Volume volume = new(cluster, name, primary.Name, secondary.Name);
        await cluster.Kubectl.ApplyAsync(
            $$"""
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata: {name: {{name}}, namespace: default}
            spec:
              size: {{SizeMebibytes}}Mi
              placement: {primaryNode: {{primary.Name}}, secondaryNode: {{secondary.Name}}}
            """);
        volume.Uid = (string)(await volume.ObjectAsync())["metadata"]!["uid"]!;
        return volume;
    }

    public async Task WaitProtectedAsync() =>
        (await Tool.RunAsync(
            await Colo.Testing.Kube.KubePrograms.PathOfAsync("kubectl"),
            ["--kubeconfig", Site.Kubeconfig, "wait", "--for=condition=Protected", "--timeout=90s", $"rvol/{Name}"])).EnsureSuccess();

    public Task<JsonNode> ObjectAsync() => cluster.Kubectl.JsonAsync("get", "rvol", Name);

    /// <summary>A field of the status as text: "currentPrimary", "phase"; empty where there is none.</summary>
    public async Task<string> StatusAsync(string field) => (await ObjectAsync())["status"]?[field]?.ToString() ?? "";

    public Task WaitStatusAsync(string field, string value, TimeSpan? within = null) => Patience.UntilAsync(
        $"{Name}: {field} = {value}",
        async () => await StatusAsync(field) is var now && now == value ? null : now,
        within);

    public Task AnnotateAsync(string annotation, string value) =>
        cluster.Kubectl.OutputAsync("annotate", "--overwrite", "rvol", Name, $"colo.dev/{annotation}={value}");

    /// <summary>A guest of this volume on a node; it has its disk as long as the node serves it.</summary>
    public Writer WriterOn(Node node) => Writer.Start(Journal, () => EndpointOn(node));

    /// <summary>The guest's unix socket on a node.</summary>
    /// <exception cref="IOException">the node is off.</exception>
    public NbdEndpoint EndpointOn(Node node) => NbdEndpoint.Unix(SocketOn(node), Uid);

    public string SocketOn(Node node) => node.PathOf($"/run/colo/sockets/{Uid}.sock");

    /// <summary>
    /// The end of each scenario, with no writer at work: the volume is protected again, its primary holds every acknowledged write, and
    /// after a checkpoint both disks are the same bytes.
    /// </summary>
    public async Task ProveAsync()
    {
        await WaitProtectedAsync();
        Node primary = cluster.NodeOf(await StatusAsync("currentPrimary"));
        await using (NbdClientDevice disk = await NbdClient.ConnectAsync(new NbdClientOptions { Endpoint = EndpointOn(primary) }))
        {
            (int found, IReadOnlyList<string> wrong) = await Journal.VerifyAsync(disk);
            wrong.Count.ShouldBe(0, $"{wrong.Count} slots are wrong:\n{string.Join('\n', wrong.Take(40))}");
            Notes.Add($"{found} acknowledged blocks found right on {primary.Name}");
        }

        await AnnotateAsync("checkpoint", Guid.NewGuid().ToString("N"));
        await Patience.UntilAsync($"{Name}: both disks are the same", async () =>
        {
            string[] files = [.. await Task.WhenAll(new[] { Primary, Secondary }.Select(HashAsync))];
            return files[0] == files[1] ? null : string.Join(" / ", files);
        });
    }

    /// <summary>Asks for the deletion and waits until the object is gone.</summary>
    public async Task DeleteAsync(TimeSpan? within = null)
    {
        isDeleted = true;
        await cluster.Kubectl.OutputAsync("delete", "--wait=false", "--ignore-not-found", "rvol", Name);
        await Patience.UntilAsync(
            $"{Name} is deleted",
            async () => (await cluster.Kubectl.RunAsync("get", "rvol", Name, "-o", "jsonpath={.metadata.finalizers}")) is { ExitCode: 0 } there
                ? there.Output : null,
            within);
    }

    /// <summary>What a node keeps of this volume.</summary>
    public bool HasFilesOn(Node node) => Directory.Exists(node.OnDisk($"/var/lib/colo/default/{Uid}"));

    public async ValueTask DisposeAsync()
    {
        if (!isDeleted)
        {
            await DeleteAsync();
        }
    }

    private async Task<string> HashAsync(Node node) =>
        (await Tool.RunAsync("sha256sum", node.OnDisk($"/var/lib/colo/default/{Uid}/disk.raw"))).EnsureSuccess().Split(' ')[0];
}
