using System.Diagnostics;
using System.Text;

namespace Colo.Testing;

/// <summary>What an external program said, and how it ended.</summary>
public sealed record ToolResult(string Command, int ExitCode, string Output, string Error)
{
    /// <summary>Returns the standard output; throws, with all that was said, where the program failed.</summary>
    public string EnsureSuccess() =>
        ExitCode == 0 ? Output : throw new InvalidOperationException($"{Command}\nexit {ExitCode}\n{Output}\n{Error}");
}

/// <summary>Runs the real clients and servers that the tests talk to. Every run is bounded in time.</summary>
public static class Tool
{
    /// <summary>Far above what any of them needs on a busy two-core machine; a hang ends the test with what was said so far.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(120);

    public static async Task<ToolResult> RunAsync(string file, IEnumerable<string> arguments, TimeSpan? timeout = null, string? input = null)
    {
        await using RunningTool tool = RunningTool.Start(file, arguments);
        if (input is not null)
        {
            await tool.Process.StandardInput.WriteAsync(input);
        }

        tool.Process.StandardInput.Close();
        return await tool.WaitAsync(timeout);
    }

    public static Task<ToolResult> RunAsync(string file, params string[] arguments) => RunAsync(file, (IEnumerable<string>)arguments);

    /// <summary>A line for /bin/bash, for what is most readable as a pipeline.</summary>
    public static Task<ToolResult> BashAsync(string script, TimeSpan? timeout = null) =>
        RunAsync("/bin/bash", ["-euo", "pipefail", "-c", script], timeout);
}

/// <summary>An external program that runs beside the test; disposing it kills it (it alone, by pid).</summary>
public sealed class RunningTool : IAsyncDisposable
{
    private readonly StringBuilder output = new();
    private readonly StringBuilder error = new();
    private readonly string command;
    private bool disposed;

    private RunningTool(Process process, string command)
    {
        Process = process;
        this.command = command;
        process.OutputDataReceived += (_, line) => Append(output, line.Data);
        process.ErrorDataReceived += (_, line) => Append(error, line.Data);
    }

    public Process Process { get; }

    public int Pid => Process.Id;

    public string Output
    {
        get
        {
            lock (output)
            {
                return output.ToString();
            }
        }
    }

    public string Error
    {
        get
        {
            lock (error)
            {
                return error.ToString();
            }
        }
    }

    public static RunningTool Start(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        ProcessStartInfo info = new(file)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string argument in arguments)
        {
            info.ArgumentList.Add(argument);
        }

        foreach ((string key, string value) in environment ?? new Dictionary<string, string>(StringComparer.Ordinal))
        {
            info.Environment[key] = value;
        }

        Process process = Process.Start(info) ?? throw new InvalidOperationException($"{file} did not start");
        RunningTool tool = new(process, file + " " + string.Join(' ', info.ArgumentList));
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return tool;
    }

    public async Task<ToolResult> WaitAsync(TimeSpan? timeout = null)
    {
        using CancellationTokenSource limit = new(timeout ?? Tool.DefaultTimeout);
        try
        {
            await Process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException e)
        {
            Process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{command}\nstill ran after {timeout ?? Tool.DefaultTimeout}\n{Output}\n{Error}", e);
        }

        return new ToolResult(command, Process.ExitCode, Output, Error);
    }

    /// <summary>May be called again: whoever ended it early need not tell its owner.</summary>
    public async ValueTask DisposeAsync()
    {
        if (disposed)
        {
            return;
        }

        disposed = true;
        if (!Process.HasExited)
        {
            Process.Kill(entireProcessTree: true);
            await Process.WaitForExitAsync();
        }

        Process.Dispose();
    }

    private static void Append(StringBuilder to, string? line)
    {
        if (line is not null)
        {
            lock (to)
            {
                to.AppendLine(line);
            }
        }
    }
}
