using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Colo.Testing.Local;

/// <summary>
/// A replicated volume on this machine as a person sets it up: coloctl local, two real agent processes, the embedded arbiter. All
/// through the command line and what it prints. Disposing it stops and removes everything.
/// </summary>
public sealed class ColoLocal : IAsyncDisposable
{
    public const string VolumeName = "disk";

    private readonly string directory;

    private ColoLocal(string directory) => this.directory = directory;

    /// <summary>What the guest connects to; stays the same over restarts and failovers.</summary>
    public string GuestSocket { get; private set; } = "";

    public string GuestExport { get; private set; } = "";

    /// <summary>What the secondary VM would see, as an NBD URI.</summary>
    public string SecondaryViewUri { get; private set; } = "";

    public string Primary { get; private set; } = "";

    public string Secondary { get; private set; } = "";

    public string GuestUri => $"nbd+unix:///{GuestExport}?socket={GuestSocket}";

    /// <summary>The agents' gRPC sockets and the guest's link lie here.</summary>
    public string RunDirectory => Path.GetDirectoryName(GuestSocket)!;

    /// <param name="directory">Must not exist yet, or be empty.</param>
    /// <param name="sizeBytes">Of the volume.</param>
    /// <param name="spec">More lines of the manifest's spec, indented by two.</param>
    public static async Task<ColoLocal> UpAsync(string directory, long sizeBytes, string spec = "")
    {
        Directory.CreateDirectory(directory);
        string manifest = Path.Combine(directory, "volume.yaml");
        await File.WriteAllTextAsync(manifest, string.Create(
            CultureInfo.InvariantCulture,
            $"""
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata:
              name: {VolumeName}
            spec:
              size: {sizeBytes >> 20}Mi
            {spec}
            """));
        ColoLocal local = new(Path.Combine(directory, "local"));
        try
        {
            await local.CtlAsync("up", "-f", manifest);
            await local.RefreshAsync();
            return local;
        }
        catch
        {
            await local.DisposeAsync();
            throw;
        }
    }

    /// <summary>Reads the status again: who is primary, and where the secondary's view is.</summary>
    public async Task RefreshAsync()
    {
        using JsonDocument document = JsonDocument.Parse(await CtlAsync("status", "-o", "json"));
        JsonElement status = document.RootElement.GetProperty("status");
        JsonElement endpoint = status.GetProperty("endpoint");
        string uri = endpoint.GetProperty("uri").GetString()!;
        GuestExport = uri["nbd+unix:///".Length..uri.IndexOf('?', StringComparison.Ordinal)];
        GuestSocket = uri[(uri.IndexOf("socket=", StringComparison.Ordinal) + "socket=".Length)..];
        SecondaryViewUri = endpoint.TryGetProperty("secondaryUri", out JsonElement view) ? view.GetString() ?? "" : "";
        Primary = status.GetProperty("currentPrimary").GetString() ?? "";
        Secondary = status.TryGetProperty("currentSecondary", out JsonElement secondary) ? secondary.GetString() ?? "" : "";
    }

    public Task CheckpointAsync() => CtlAsync("checkpoint");

    public int AgentPid(string node)
    {
        string file = File.ReadAllText(Path.Combine(directory, node, "agent.pid"));
        return int.Parse(file.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[0], CultureInfo.InvariantCulture);
    }

    /// <summary>SIGKILL, as by the kernel's OOM killer, at this very moment.</summary>
    public void KillAgent(string node)
    {
        using Process agent = Process.GetProcessById(AgentPid(node));
        agent.Kill();
    }

    public Task StartAgentAsync(string node) => CtlAsync("start-agent", node);

    /// <summary>For example "--for", "Protected".</summary>
    public Task WaitAsync(params string[] arguments) => CtlAsync(["wait", .. arguments]);

    /// <summary>Runs `coloctl local` on this installation.</summary>
    public async Task<string> CtlAsync(params string[] arguments) =>
        (await Tool.RunAsync(Built.Program("Colo.Cli", "coloctl"), ["local", .. arguments, "--dir", directory])).EnsureSuccess();

    public async ValueTask DisposeAsync()
    {
        if (Directory.Exists(directory))
        {
            await CtlAsync("down");
        }
    }
}
