using Colo.Cli.Local;
using Colo.Testing;

namespace Colo.Cli.Tests;

public sealed class BackgroundProcessTests : IDisposable
{
    private readonly TempDirectory directory = new();

    [Fact]
    public async Task A_process_whose_first_thread_has_ended_runs_until_its_last_one_has()
    {
        BackgroundProcess process = new(directory.File("pid"), directory.File("log"));
        process.Start(
            "/usr/bin/python3",
            ["-c", "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); ctypes.CDLL(None).pthread_exit(None)"]);
        int pid = process.Pid.ShouldNotBeNull();
        await Eventually.TrueAsync(() => File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ", StringComparison.Ordinal), "its first thread has ended");

        process.Pid.ShouldBe(pid);

        (await process.KillAsync(CancellationToken.None)).ShouldBeTrue();
        process.Pid.ShouldBeNull();
    }

    public void Dispose() => directory.Dispose();
}
