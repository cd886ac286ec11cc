using System.Diagnostics;
using System.Globalization;

namespace Colo.Testing.Kube;

/// <summary>
/// A server that ends with the test, even where the test process itself is killed: its guard holds the read end of a pipe from us
/// and kills it when that closes. (A parent-death signal would not do: it follows the thread that started the process.)
/// </summary>
internal sealed class KubeProcess : IAsyncDisposable
{
    private const string Guard =
        """
        exec 3<&0
        "$@" </dev/null &
        server=$!
        cat <&3 >/dev/null &
        owner=$!
        wait -n
        code=$?
        kill -KILL "$server" "$owner" 2>/dev/null
        exit "$code"
        """;

    private readonly RunningTool guard;
    private readonly string program;

    private KubeProcess(RunningTool guard, string program)
    {
        this.guard = guard;
        this.program = program;
    }

    public bool HasExited => guard.Process.HasExited;

    /// <summary>The end of what it said; the whole may be megabytes.</summary>
    public string LogTail
    {
        get
        {
            string log = guard.Error + guard.Output;
            return log.Length <= 4000 ? log : log[^4000..];
        }
    }

    public static KubeProcess Start(string path, IEnumerable<string> arguments) =>
        new(RunningTool.Start("/bin/bash", ["-c", Guard, "guard", path, .. arguments]), Path.GetFileName(path));

    /// <summary>False once it has exited.</summary>
    /// <exception cref="TimeoutException">not within two minutes, far above what a start takes.</exception>
    public async Task<bool> WaitUntilAsync(Func<Task<bool>> ready)
    {
        long start = Stopwatch.GetTimestamp();
        while (!HasExited)
        {
            if (await ready())
            {
                return true;
            }

            if (Stopwatch.GetElapsedTime(start) > Tool.DefaultTimeout)
            {
                throw new TimeoutException($"{program} is not ready after {Tool.DefaultTimeout}\n{LogTail}");
            }

            await Task.Delay(50);
        }

        return false;
    }

    /// <param name="signal">STOP or CONT, say.</param>
    public async Task SignalAsync(string signal)
    {
        string children = await File.ReadAllTextAsync($"/proc/{guard.Pid}/task/{guard.Pid}/children");
        foreach (string pid in children.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            // The kernel cuts a name to 15 bytes.
            string name = (await File.ReadAllTextAsync($"/proc/{pid}/comm")).Trim();
            if (program.StartsWith(name, StringComparison.Ordinal))
            {
                (await Tool.RunAsync("kill", "-" + signal, int.Parse(pid, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture))).EnsureSuccess();
                return;
            }
        }

        throw new InvalidOperationException($"{program} does not run\n{LogTail}");
    }

    public ValueTask DisposeAsync() => guard.DisposeAsync();
}
