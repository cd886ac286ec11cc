using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Colo.Testing.Kube;

/// <summary>
/// An etcd of one member on the loopback. It does not sync its files: they die with the test, and a slow disk would look like a
/// failing control plane.
/// </summary>
internal sealed class EtcdServer : IAsyncDisposable
{
    /// <summary>A port that was free a moment ago may be taken by another test's server before ours has it.</summary>
    private const int PortAttempts = 5;

    private readonly KubeProcess process;
    private readonly HttpClient http;

    private EtcdServer(KubeProcess process, HttpClient http)
    {
        this.process = process;
        this.http = http;
    }

    public Uri Address => http.BaseAddress!;

    public static async Task<EtcdServer> StartAsync(string dataDirectory)
    {
        string log = "";
        for (int attempt = 0; attempt < PortAttempts; attempt++)
        {
            string client = $"http://127.0.0.1:{LoopbackPort.FindFree()}";
            string peer = $"http://127.0.0.1:{LoopbackPort.FindFree()}";
            KubeProcess process = KubeProcess.Start(
                await KubePrograms.PathOfAsync("etcd"),
                [
                    "--name=test", "--data-dir=" + dataDirectory, "--unsafe-no-fsync",
                    "--listen-client-urls=" + client, "--advertise-client-urls=" + client,
                    "--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=test=" + peer,
                    "--log-level=warn",
                ]);
            HttpClient http = new() { BaseAddress = new Uri(client) };
            if (await process.WaitUntilAsync(() => IsHealthyAsync(http)))
            {
                return new EtcdServer(process, http);
            }

            log = process.LogTail;
            http.Dispose();
            await process.DisposeAsync();
        }

        throw new InvalidOperationException("etcd does not start\n" + log);
    }

    /// <summary>Forgets every revision but the newest: lists and watches that go on from an older one are answered 410 Gone.</summary>
    public async Task CompactAsync()
    {
        using HttpResponseMessage range = await http.PostAsJsonAsync("/v3/kv/range", new JsonObject { ["key"] = "AA==" });
        range.EnsureSuccessStatusCode();
        JsonNode answer = JsonNode.Parse(await range.Content.ReadAsStringAsync())!;
        string revision = (string)answer["header"]!["revision"]!;
        using HttpResponseMessage compacted = await http.PostAsJsonAsync(
            "/v3/kv/compaction", new JsonObject { ["revision"] = revision, ["physical"] = true });
        compacted.EnsureSuccessStatusCode();
    }

    public async ValueTask DisposeAsync()
    {
        await process.DisposeAsync();
        http.Dispose();
    }

    private static async Task<bool> IsHealthyAsync(HttpClient http)
    {
        try
        {
            using HttpResponseMessage answer = await http.GetAsync(new Uri("/health", UriKind.Relative));
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
