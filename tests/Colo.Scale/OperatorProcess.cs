using System.Globalization;
using System.Text.RegularExpressions;
using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.Scale;

/// <summary>What the operator has used and done since its start.</summary>
/// <param name="CpuSeconds">User and system time of the process.</param>
/// <param name="ApiCalls">Requests to the API server, by the operator's own count.</param>
internal sealed record OperatorUsage(double CpuSeconds, long ResidentBytes, double ApiCalls);

/// <summary>The real colo-operator as a process of its own.</summary>
internal sealed partial class OperatorProcess : IAsyncDisposable
{
    /// <summary>USER_HZ, the unit of /proc/PID/stat on every Linux of today.</summary>
    private const double TicksPerSecond = 100;

    private readonly RunningTool tool;
    private readonly Uri metrics;
    private readonly HttpClient http = new();

    private OperatorProcess(RunningTool tool, Uri metrics) => (this.tool, this.metrics) = (tool, metrics);

    public string LogTail => tool.Output.Length > 4000 ? tool.Output[^4000..] : tool.Output + tool.Error;

    public static OperatorProcess Start(string kubeconfig)
    {
        string listen = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{LoopbackPort.FindFree()}");
        RunningTool tool = RunningTool.Start(
            Built.Program("Colo.Operator", "colo-operator"),
            ["--kubeconfig", kubeconfig, "--namespace", SimulatedFleet.Namespace, "--metrics-listen", listen]);
        return new OperatorProcess(tool, new Uri($"http://{listen}/metrics"));
    }

    public async Task<OperatorUsage> UsageAsync()
    {
        if (tool.Process.HasExited)
        {
            throw new InvalidOperationException("the operator has ended:\n" + LogTail);
        }

        string[] stat = (await File.ReadAllTextAsync($"/proc/{tool.Pid}/stat")).Split(") ")[^1].Split(' ');
        double cpu = (double.Parse(stat[11], CultureInfo.InvariantCulture) + double.Parse(stat[12], CultureInfo.InvariantCulture)) / TicksPerSecond;
        string resident = (await File.ReadAllLinesAsync($"/proc/{tool.Pid}/status")).Single(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        string text = await http.GetStringAsync(metrics);
        double calls = ApiCalls().Matches(text).Sum(m => double.Parse(m.Groups["count"].ValueSpan, CultureInfo.InvariantCulture));
        return new OperatorUsage(cpu, long.Parse(Digits().Match(resident).ValueSpan, CultureInfo.InvariantCulture) << 10, calls);
    }

    public async ValueTask DisposeAsync()
    {
        http.Dispose();
        await tool.DisposeAsync();
    }

    [GeneratedRegex(@"^rest_client_requests_total\{[^}]*\} (?<count>\S+)$", RegexOptions.Multiline | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex ApiCalls();

    [GeneratedRegex(@"\d+", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Digits();
}
