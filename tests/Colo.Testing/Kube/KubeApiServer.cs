using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace Colo.Testing.Kube;

/// <summary>
/// A real Kubernetes API of a test's own: etcd and kube-apiserver on the loopback, RBAC on, no kubelet, scheduler or controller
/// manager (nothing runs pods, collects garbage or empties namespaces; a ServiceAccount is made by whoever needs it). It may be
/// stopped and started again on the same data and the same port. Disposing it kills all of it and removes its data.
/// </summary>
public sealed class KubeApiServer : IAsyncDisposable
{
    /// <summary>A port that was free a moment ago may be taken by another test's server before ours has it.</summary>
    private const int PortAttempts = 5;

    private readonly TempDirectory directory = new();
    private readonly KubeCertificates certificates = new();
    private readonly IPAddress bind;
    private readonly IReadOnlyList<string> extraArguments;
    private HttpClient? adminHttp;
    private EtcdServer? etcd;
    private KubeProcess? process;
    private int issued;

    private KubeApiServer(IPAddress bind, IReadOnlyList<string> extraArguments)
    {
        this.bind = bind;
        this.extraArguments = extraArguments;
        AdminKubeconfig = directory.File("admin.kubeconfig");
        Admin = KubectlFor(AdminKubeconfig);
    }

    public Uri Address { get; private set; } = new("https://127.0.0.1");

    /// <summary>PEM of the authority that signed the server's certificate and every user's.</summary>
    public string AuthorityPem => certificates.AuthorityPem;

    /// <summary>Path of a kubeconfig of group system:masters.</summary>
    public string AdminKubeconfig { get; }

    /// <summary>kubectl with <see cref="AdminKubeconfig"/>.</summary>
    public Kubectl Admin { get; }

    /// <param name="extraArguments">More arguments of kube-apiserver, such as <c>--watch-cache=false</c>; a later one wins.</param>
    public static Task<KubeApiServer> StartAsync(params IReadOnlyList<string> extraArguments) => StartAsync(IPAddress.Loopback, extraArguments);

    /// <param name="bind">Where it listens: an address of this machine that other network namespaces reach, say.</param>
    /// <param name="extraArguments">As above.</param>
    public static async Task<KubeApiServer> StartAsync(IPAddress bind, IReadOnlyList<string> extraArguments)
    {
        KubeApiServer server = new(bind, extraArguments);
        try
        {
            await server.StartFirstAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public Kubectl KubectlFor(string kubeconfig) => new(kubeconfig, directory.File("kubectl-cache"));

    /// <summary>A kubeconfig with a client certificate; what it may do is up to RBAC.</summary>
    public async Task<string> KubeconfigForUserAsync(string user, params IReadOnlyList<string> groups)
    {
        string path = NextKubeconfig();
        await KubeconfigFile.WithCertificateAsync(path, Address, AuthorityPem, certificates.IssueClient(user, groups));
        return path;
    }

    /// <summary>A kubeconfig with a token of an existing service account, as a pod of it would be given.</summary>
    /// <param name="namespaceName">Of the account,</param>
    /// <param name="name">its name.</param>
    /// <param name="pod">An existing pod that the token is bound to, as one that a kubelet projects is; null: to none.</param>
    /// <exception cref="HttpRequestException">there is no such service account, or no such pod.</exception>
    public async Task<string> KubeconfigForServiceAccountAsync(string namespaceName, string name, string? pod = null)
    {
        JsonObject request = new()
        {
            ["apiVersion"] = "authentication.k8s.io/v1",
            ["kind"] = "TokenRequest",
            ["spec"] = new JsonObject { ["expirationSeconds"] = 24 * 3600 },
        };
        if (pod is not null)
        {
            request["spec"]!["boundObjectRef"] = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Pod", ["name"] = pod };
        }

        using HttpResponseMessage answer = await adminHttp!.PostAsJsonAsync(
            new Uri(Address, $"/api/v1/namespaces/{namespaceName}/serviceaccounts/{name}/token"), request);
        answer.EnsureSuccessStatusCode();
        string token = (string)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["status"]!["token"]!;
        string path = NextKubeconfig();
        await KubeconfigFile.WithTokenAsync(path, Address, AuthorityPem, token);
        return path;
    }

    /// <summary>One request as admin, where a kubectl for each would take long.</summary>
    /// <param name="path">From the root: <c>/apis/colo.dev/v1alpha1/...</c>.</param>
    public async Task<KubeAnswer> SendAsync(HttpMethod method, string path, JsonNode? body = null, string contentType = "application/json")
    {
        using HttpRequestMessage request = new(method, new Uri(Address, path));
        if (body is not null)
        {
            request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, contentType);
        }

        using HttpResponseMessage answer = await adminHttp!.SendAsync(request);
        return new(answer.StatusCode, JsonNode.Parse(await answer.Content.ReadAsStringAsync())!);
    }

    /// <summary>The API server is killed; etcd keeps what it acknowledged. Does nothing where it is stopped.</summary>
    public async Task StopAsync()
    {
        if (process is not null)
        {
            await process.DisposeAsync();
            process = null;
        }
    }

    /// <summary>After <see cref="StopAsync"/>: the same data, port and certificates. Watches from before are answered 410 Gone.</summary>
    public async Task StartAgainAsync()
    {
        if (process is not null)
        {
            throw new InvalidOperationException("it runs");
        }

        if (!await TryStartAsync())
        {
            throw new InvalidOperationException("kube-apiserver did not come back");
        }
    }

    public async Task RestartAsync()
    {
        await StopAsync();
        await StartAgainAsync();
    }

    /// <summary>SIGSTOP: connections stay open and nothing answers.</summary>
    public Task FreezeAsync() => Running.SignalAsync("STOP");

    public Task ThawAsync() => Running.SignalAsync("CONT");

    /// <summary>Forgets every revision but the newest: a list that goes on from an older one is answered 410 Gone.</summary>
    public Task CompactAsync() => etcd!.CompactAsync();

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        if (etcd is not null)
        {
            await etcd.DisposeAsync();
        }

        adminHttp?.Dispose();
        certificates.Dispose();
        directory.Dispose();
    }

    private KubeProcess Running => process ?? throw new InvalidOperationException("it is stopped");

    private async Task StartFirstAsync()
    {
        PemPair admin = certificates.IssueClient("admin", "system:masters");
        adminHttp = TrustingHttp.Create(certificates.Authority, admin);
        await WriteServerFilesAsync();
        etcd = await EtcdServer.StartAsync(directory.File("etcd"));
        for (int attempt = 1; ; attempt++)
        {
            Address = new Uri($"https://{bind}:{LoopbackPort.FindFree()}");
            if (await TryStartAsync(lastAttempt: attempt == PortAttempts))
            {
                break;
            }
        }

        await KubeconfigFile.WithCertificateAsync(AdminKubeconfig, Address, AuthorityPem, admin);
    }

    /// <returns>False when it exited: its port was taken, most likely.</returns>
    private async Task<bool> TryStartAsync(bool lastAttempt = true)
    {
        KubeProcess started = KubeProcess.Start(await KubePrograms.PathOfAsync("kube-apiserver"), Arguments());
        bool ready = false;
        try
        {
            ready = await started.WaitUntilAsync(IsReadyAsync);
            if (!ready && lastAttempt)
            {
                throw new InvalidOperationException("kube-apiserver does not start\n" + started.LogTail);
            }
        }
        finally
        {
            if (!ready)
            {
                await started.DisposeAsync();
            }
        }

        process = ready ? started : null;
        return ready;
    }

    private IEnumerable<string> Arguments() =>
    [
        "--etcd-servers=" + etcd!.Address.GetLeftPart(UriPartial.Authority),
        "--bind-address=" + bind,
        "--secure-port=" + Address.Port.ToString(CultureInfo.InvariantCulture),
        // The `kubernetes` service would need an address of the machine that is no loopback.
        "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
        "--tls-cert-file=" + directory.File("server.crt"), "--tls-private-key-file=" + directory.File("server.key"),
        "--client-ca-file=" + directory.File("ca.crt"),
        "--authorization-mode=Node,RBAC",
        // It would refuse every pod: nobody makes the `default` service accounts that pods get.
        "--disable-admission-plugins=ServiceAccount",
        "--allow-privileged=true",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        "--service-account-signing-key-file=" + directory.File("tokens.key"),
        "--service-account-key-file=" + directory.File("tokens.key"),
        "--cert-dir=" + directory.Path,
        .. extraArguments,
    ];

    private async Task WriteServerFilesAsync()
    {
        PemPair server = certificates.IssueServer("kube-apiserver", bind, "kubernetes.default.svc");
        await File.WriteAllTextAsync(directory.File("ca.crt"), AuthorityPem);
        await File.WriteAllTextAsync(directory.File("server.crt"), server.Certificate);
        await File.WriteAllTextAsync(directory.File("server.key"), server.Key);
        using ECDsa tokenKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        await File.WriteAllTextAsync(directory.File("tokens.key"), tokenKey.ExportECPrivateKeyPem());
    }

    /// <summary>The namespace "default" is made by a controller of the server that starts beside it, after it calls itself ready.</summary>
    private async Task<bool> IsReadyAsync()
    {
        try
        {
            using HttpResponseMessage answer = await adminHttp!.GetAsync(new Uri(Address, "/readyz"));
            using HttpResponseMessage space = await adminHttp.GetAsync(new Uri(Address, "/api/v1/namespaces/default"));
            return answer.IsSuccessStatusCode && space.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            return false;
        }
    }

    private string NextKubeconfig() =>
        directory.File(string.Create(CultureInfo.InvariantCulture, $"user-{Interlocked.Increment(ref issued)}.kubeconfig"));
}

/// <summary>What the API server said: an object, or a Status that tells what is wrong.</summary>
public sealed record KubeAnswer(HttpStatusCode Code, JsonNode Body)
{
    public bool IsSuccess => (int)Code is >= 200 and < 300;

    /// <summary>The fields that a refused object is blamed for, each with its reason: <c>spec.mode: Unsupported value...</c></summary>
    public IReadOnlyList<string> Causes =>
        Body["details"]?["causes"] is JsonArray causes ? [.. causes.Select(c => $"{c!["field"]}: {c["message"]}")] : [];
}
