using System.Text.RegularExpressions;
using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.Chart.Tests.Monitoring;

/// <summary>A protected volume on two real agent processes, with something written to it: what is there to be scraped.</summary>
public sealed partial class RunningVolume : IAsyncLifetime
{
    private readonly TempDirectory directory = new();
    private readonly HttpClient http = new();
    private ColoLocal? local;

    /// <summary>host:port of each agent's /metrics, node-a's first.</summary>
    public IReadOnlyList<string> Targets { get; private set; } = [];

    public async ValueTask InitializeAsync()
    {
        local = await ColoLocal.UpAsync(directory.File("volume"), 64 << 20);
        (await Tool.RunAsync("qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", "-c", "flush", local.GuestUri)).EnsureSuccess();
        Targets = [.. new[] { "node-a", "node-b" }.Select(n => MetricsListen(local.AgentPid(n)))];
    }

    public Task<string> MetricsAsync(string target) => http.GetStringAsync(new Uri($"http://{target}/metrics"));

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        if (local is not null)
        {
            await local.DisposeAsync();
        }

        directory.Dispose();
    }

    private static string MetricsListen(int pid) =>
        MetricsArgument().Match(File.ReadAllText($"/proc/{pid}/cmdline")) is { Success: true } match
            ? match.Groups["address"].Value
            : throw new InvalidOperationException($"process {pid} has no --metrics-listen");

    [GeneratedRegex(@"--metrics-listen[\0=](?<address>[^\0]+)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex MetricsArgument();
}

[CollectionDefinition(nameof(RunningVolume))]
public sealed class SharedRunningVolume : ICollectionFixture<RunningVolume>;
