using Colo.Blocks;
using Colo.Testing;

namespace Colo.Linux.Tests;

public sealed class OpenAndLockTests
{
    private const string HoldLock = """
        import fcntl, struct, sys, os
        fd = os.open(sys.argv[1], os.O_RDWR)
        kind = {'write': fcntl.F_WRLCK, 'read': fcntl.F_RDLCK}[sys.argv[3]]
        command = {'ofd': 37, 'posix': fcntl.F_SETLK}[sys.argv[2]]
        fcntl.fcntl(fd, command, struct.pack('hhqqi4x', kind, 0, 0, 0, 0))
        print('held', flush=True)
        sys.stdin.read()
        """;

    [Fact]
    public async Task A_second_open_for_writing_is_refused_and_names_path_and_holder()
    {
        using TempDirectory directory = new();
        await using RawFile file = RawFile.Create(directory.File("disk"), 4096);
        FileOpenException e = Should.Throw<FileOpenException>(() => RawFile.Open(file.Path));
        e.Error.ShouldBe(FileOpenError.Locked);
        e.Message.ShouldContain(file.Path);
        e.HolderPid.ShouldBe(Environment.ProcessId);
        Should.Throw<FileOpenException>(() => RawFile.Open(file.Path, new RawFileOptions { ReadOnly = true }))
            .Error.ShouldBe(FileOpenError.Locked);
    }

    [Fact]
    public async Task Any_number_may_read_but_none_may_write_meanwhile()
    {
        using TempDirectory directory = new();
        await RawFile.Create(directory.File("disk"), 4096).DisposeAsync();
        RawFileOptions readOnly = new() { ReadOnly = true };
        await using RawFile a = RawFile.Open(directory.File("disk"), readOnly);
        await using RawFile b = RawFile.Open(directory.File("disk"), readOnly);
        Should.Throw<FileOpenException>(() => RawFile.Open(directory.File("disk"))).Error.ShouldBe(FileOpenError.Locked);
    }

    [Fact]
    public async Task Closing_gives_the_lock_up()
    {
        using TempDirectory directory = new();
        await RawFile.Create(directory.File("disk"), 4096).DisposeAsync();
        await using RawFile again = RawFile.Open(directory.File("disk"));
    }

    [Theory]
    [InlineData("ofd")]
    [InlineData("posix")]
    public async Task A_lock_of_another_process_is_respected_and_its_pid_named(string lockKind)
    {
        using TempDirectory directory = new();
        await RawFile.Create(directory.File("disk"), 4096).DisposeAsync();
        await using (RunningTool holder = await HoldAsync(directory.File("disk"), lockKind, "write"))
        {
            FileOpenException e = Should.Throw<FileOpenException>(() => RawFile.Open(directory.File("disk")));
            e.Error.ShouldBe(FileOpenError.Locked);
            e.HolderPid.ShouldBe(holder.Pid);
            e.Message.ShouldContain($"process {holder.Pid}");
        }

        // Killed: the lock went with it.
        await using RawFile file = RawFile.Open(directory.File("disk"));
    }

    [Fact]
    public async Task Readers_pass_a_shared_lock_of_another_process()
    {
        using TempDirectory directory = new();
        await RawFile.Create(directory.File("disk"), 4096).DisposeAsync();
        await using RunningTool holder = await HoldAsync(directory.File("disk"), "ofd", "read");
        await using RawFile reader = RawFile.Open(directory.File("disk"), new RawFileOptions { ReadOnly = true });
        Should.Throw<FileOpenException>(() => RawFile.Open(directory.File("disk"))).HolderPid.ShouldNotBeNull();
    }

    [Fact]
    public async Task QEMU_does_not_open_for_writing_what_we_hold()
    {
        using TempDirectory directory = new();
        await using RawFile file = RawFile.Create(directory.File("disk"), 1 << 20);
        ToolResult result = await Tool.RunAsync("qemu-io", "-f", "raw", "-c", "write 0 512", file.Path);
        result.ExitCode.ShouldNotBe(0);
        (result.Output + result.Error).ShouldContain("lock");
    }

    [Fact]
    public void Each_failure_to_open_has_its_kind_and_names_the_path()
    {
        using TempDirectory directory = new();
        Failure(directory.File("missing")).ShouldBe(FileOpenError.NotFound);
        Failure(directory.Path).ShouldBe(FileOpenError.NotADisk);
        Failure("/dev/null").ShouldBe(FileOpenError.NotADisk);
        File.WriteAllBytes(directory.File("odd"), new byte[100]);
        Failure(directory.File("odd"), new RawFileOptions { DirectIo = true }).ShouldBe(FileOpenError.BadLength);
        Should.Throw<FileOpenException>(() => RawFile.Create(directory.File("odd"), 1)).Error.ShouldBe(FileOpenError.AlreadyExists);
        new FileInfo(directory.File("odd")).Length.ShouldBe(100);

        static FileOpenError Failure(string path, RawFileOptions? options = null)
        {
            FileOpenException e = Should.Throw<FileOpenException>(() => RawFile.Open(path, options));
            e.Message.ShouldContain(path);
            return e.Error;
        }
    }

    [Fact]
    public async Task A_FIFO_is_refused_without_waiting_for_its_other_end()
    {
        using TempDirectory directory = new();
        (await Tool.RunAsync("mkfifo", directory.File("pipe"))).EnsureSuccess();
        Should.Throw<FileOpenException>(() => RawFile.Open(directory.File("pipe"), new RawFileOptions { ReadOnly = true }))
            .Error.ShouldBe(FileOpenError.NotADisk);
    }

    [Fact]
    public async Task What_is_no_disk_is_refused_as_such_though_another_process_holds_a_lock_on_it()
    {
        using TempDirectory directory = new();
        (await Tool.RunAsync("mkfifo", directory.File("pipe"))).EnsureSuccess();
        await using RunningTool holder = await HoldAsync(directory.File("pipe"), "ofd", "write");
        Should.Throw<FileOpenException>(() => RawFile.Open(directory.File("pipe"))).Error.ShouldBe(FileOpenError.NotADisk);
    }

    [Fact]
    public async Task Preallocation_reserves_the_space_and_sparse_creation_does_not()
    {
        using TempDirectory directory = new();
        await using RawFile sparse = RawFile.Create(directory.File("sparse"), 8 << 20);
        await using RawFile full = RawFile.Create(directory.File("full"), 8 << 20, preallocate: true);
        sparse.GetAllocatedBytes().ShouldBeLessThan(1 << 20);
        full.GetAllocatedBytes().ShouldBeGreaterThanOrEqualTo(8 << 20);
    }

    private static async Task<RunningTool> HoldAsync(string path, string lockKind, string mode)
    {
        RunningTool holder = RunningTool.Start("/usr/bin/python3", ["-c", HoldLock, path, lockKind, mode]);
        await Eventually.TrueAsync(() => holder.Output.Contains("held", StringComparison.Ordinal), "the other process holds the lock");
        return holder;
    }
}
