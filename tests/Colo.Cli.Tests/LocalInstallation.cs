using System.Text.Json.Nodes;
using Colo.Testing;

namespace Colo.Cli.Tests;

/// <summary>One `coloctl local` of a test's own: real processes, in a directory that is gone at the end.</summary>
internal sealed class LocalInstallation : IAsyncDisposable
{
    private static readonly string Coloctl = Path.Combine(AppContext.BaseDirectory, "coloctl");
    private readonly TempDirectory temporary = new();

    public string State => temporary.File("s");

    public string Manifest { get; private set; } = "";

    public static Task<ToolResult> ColoctlAsync(params string[] arguments) => Tool.RunAsync(Coloctl, arguments);

    public Task<ToolResult> LocalAsync(string verb, params string[] arguments) => ColoctlAsync(["local", verb, .. arguments, "--dir", State]);

    public string CommandLine(string arguments) => $"{Coloctl} local {arguments} --dir {State}";

    public async Task UpAsync(string extraSpec = "", params string[] arguments)
    {
        Manifest = temporary.File("volume.yaml");
        await File.WriteAllTextAsync(Manifest, $$"""
            apiVersion: colo.dev/v1alpha1
            kind: ReplicatedVolume
            metadata: {name: disk}
            spec:
              size: 64Mi
              buffer: {medium: Disk, sizeLimit: 128Mi}
              checkpoint: {interval: 0}
            {{(extraSpec.Length == 0 ? "  failover: {heartbeatTimeout: 1s}" : extraSpec)}}
            """);
        (await LocalAsync("up", ["-f", Manifest, .. arguments])).EnsureSuccess();
    }

    public async Task<JsonNode> VolumeAsync() => JsonNode.Parse((await LocalAsync("status", "-o", "json")).EnsureSuccess())!;

    public async Task<string> StatusAsync(string field) => (await VolumeAsync())["status"]![field]!.ToString();

    public async Task<string> GuestUriAsync() => (await VolumeAsync())["status"]!["endpoint"]!["uri"]!.ToString();

    public async Task WaitAsync(params string[] arguments) => (await LocalAsync("wait", arguments)).EnsureSuccess();

    public Task SignalAgentAsync(string node, string signal) => SignalAsync(Path.Combine(State, node, "agent.pid"), signal);

    public Task SignalLoopAsync(string signal) => SignalAsync(Path.Combine(State, "control.pid"), signal);

    /// <summary>Writes a pattern of one byte through the guest's address, with qemu-io, and flushes.</summary>
    public async Task WriteAsync(int pattern, string offset, string length) => await WriteToAsync(await GuestUriAsync(), pattern, offset, length);

    public static async Task WriteToAsync(string uri, int pattern, string offset, string length) =>
        (await Tool.RunAsync("qemu-io", "-f", "raw", "-c", $"write -P {pattern} {offset} {length}", "-c", "flush", uri)).EnsureSuccess();

    public string AgentPid(string node) => File.ReadAllText(Path.Combine(State, node, "agent.pid"));

    /// <summary>qemu-io ends with an error where a byte differs.</summary>
    public async Task ShouldReadAsync(int pattern, string offset, string length)
    {
        ToolResult read = await Tool.RunAsync("qemu-io", "-r", "-f", "raw", "-c", $"read -P {pattern} {offset} {length}", await GuestUriAsync());
        read.ExitCode.ShouldBe(0, read.Output + read.Error);
        read.Output.ShouldNotContain("Pattern verification failed");
    }

    private static async Task SignalAsync(string pidFile, string signal) =>
        (await Tool.RunAsync("kill", "-" + signal, (await File.ReadAllTextAsync(pidFile)).Split(' ')[0])).EnsureSuccess();

    public async ValueTask DisposeAsync()
    {
        (await LocalAsync("down")).EnsureSuccess();
        temporary.Dispose();
    }
}
