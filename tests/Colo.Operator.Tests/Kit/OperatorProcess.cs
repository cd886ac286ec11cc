using Colo.Testing;
using Colo.Testing.Local;

namespace Colo.Operator.Tests.Kit;

/// <summary>A real colo-operator process.</summary>
public sealed class OperatorProcess : IAsyncDisposable
{
    private readonly RunningTool process;

    private OperatorProcess(RunningTool process, int port) => (this.process, Port) = (process, port);

    public int Port { get; }

    public string Log => process.Output + process.Error;

    public bool HasExited => process.Process.HasExited;

    public int ExitCode => process.Process.ExitCode;

    public static OperatorProcess Start(IEnumerable<string> arguments, SkewedClock? clock = null)
    {
        int port = LoopbackPort.FindFree();
        return new(RunningTool.Start(Built.Program("Colo.Operator", "colo-operator"), [.. arguments, $"--metrics-listen=127.0.0.1:{port}"], clock?.Environment), port);
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        process.Process.Kill();
        await process.Process.WaitForExitAsync();
    }

    /// <summary>SIGTERM; waits for its end.</summary>
    public async Task TerminateAsync()
    {
        (await Tool.RunAsync("/bin/kill", "-TERM", process.Pid.ToString(System.Globalization.CultureInfo.InvariantCulture))).EnsureSuccess();
        await process.WaitAsync();
    }

    public async Task<string> GetAsync(string path)
    {
        using HttpClient http = new();
        return await http.GetStringAsync(new Uri($"http://127.0.0.1:{Port}{path}"));
    }

    public async ValueTask DisposeAsync()
    {
        if (!HasExited)
        {
            await KillAsync();
        }

        await process.DisposeAsync();
    }
}
