using Colo.AgentApi;
using Colo.Testing;
using Grpc.Core;
using static Colo.Agent.Tests.AgentPair;

namespace Colo.Agent.Tests;

/// <summary>System calls on one path fail, as strace has them fail: told as what it is, by the file's name; no other volume suffers.</summary>
public sealed class FailingFilesTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);

    public void Dispose() => directory.Dispose();

    [Fact]
    public async Task A_state_file_whose_directory_cannot_be_synced_is_an_IO_error_and_no_loss_and_the_call_may_be_made_again()
    {
        await using AgentUnderTest agent = await StartAsync("pool/v", "fsync:error=EIO");
        RpcException told = await Should.ThrowAsync<RpcException>(async () => await PrepareAsync(agent, "v", Role.Primary));
        told.StatusCode.ShouldBe(StatusCode.Aborted, told.Status.Detail);
        told.Status.Detail.ShouldContain("directory cannot be synced");
        told.Status.Detail.ShouldContain("may be made again");
        await PrepareAsync(agent, "w", Role.Primary);
        await Guest.WriteAsync(agent.GuestUri("w"), 0x11, "0", "64k");
        await HealAsync(agent);
        await PrepareAsync(agent, "v", Role.Primary);
        await Guest.WriteAsync(agent.GuestUri("v"), 0x11, "0", "64k");
        agent.Log.ShouldNotContain("Damaged");
    }

    [Fact]
    public async Task A_buffer_that_cannot_be_made_refuses_Start_by_name_and_Start_may_be_called_again()
    {
        await using AgentUnderTest agent = await StartAsync("mem/a/v/hidden-1.qcow2.new", "pwrite64,pwritev,pwritev2:error=ENOSPC");
        await PrepareAsync(agent, "v", Role.Secondary);
        await PrepareAsync(agent, "w", Role.Secondary);
        RpcException told = await Should.ThrowAsync<RpcException>(async () => await StartCallAsync(agent, "v"));
        told.StatusCode.ShouldBe(StatusCode.Aborted, told.Status.Detail);
        told.Status.Detail.ShouldContain("hidden-1.qcow2");
        await StartCallAsync(agent, "w");
        await HealAsync(agent);
        await StartCallAsync(agent, "v");
        (await agent.StatusAsync("v")).State.ShouldBe(ReplicaState.Running);
    }

    /// <summary>Ends the tracer, and with it the faults; the agent goes on.</summary>
    private static async Task HealAsync(AgentUnderTest agent)
    {
        (await Tool.RunAsync("/bin/kill", "-TERM", Tracer())).EnsureSuccess();
        await Eventually.TrueAsync(() => Tracer() == "0", "strace has let go");

        string Tracer() =>
            File.ReadLines($"/proc/{agent.Pid}/status").First(l => l.StartsWith("TracerPid:", StringComparison.Ordinal)).Split('\t')[1].Trim();
    }

    private static async Task StartCallAsync(AgentUnderTest agent, string uid) =>
        await agent.Client.StartAsync(new StartRequest { Volume = Ref(uid, 1), Resync = ResyncMode.None });

    private async Task PrepareAsync(AgentUnderTest agent, string uid, Role role)
    {
        VolumeRecordFile record = new(directory.File("arbiter"), uid);
        if (record.Read() is null)
        {
            record.TryCreate(role == Role.Primary ? new(uid, 1, "a", "", SecondaryState.None) : new(uid, 1, "b", "a", SecondaryState.Syncing))
                .Done.ShouldBeTrue();
        }

        await agent.Client.PrepareAsync(Request(uid, 1, role));
    }

    /// <param name="path">Below the agent's own directory.</param>
    /// <param name="fault">As strace's inject has it.</param>
    private Task<AgentUnderTest> StartAsync(string path, string fault)
    {
        // -D: the agent is this process, and strace a child of it, so that signals go where they should; -I1: SIGTERM ends strace.
        string calls = fault[..fault.IndexOf(':', StringComparison.Ordinal)];
        return AgentUnderTest.StartUnderAsync(
            ["strace", "-I1", "-D", "-f", "-qq", "-o", "/dev/null", "-P", Path.Combine(directory.Path, "a", path), "-e", $"trace={calls}", "-e", $"inject={fault}"],
            "a", directory.Path, directory.File("arbiter"));
    }
}
