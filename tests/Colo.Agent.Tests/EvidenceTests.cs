using Colo.AgentApi;
using Colo.Testing;

namespace Colo.Agent.Tests;

/// <summary>Disks and state files that are not what the agent left: refused with a reason, never used, and no other volume suffers.</summary>
public sealed class EvidenceTests : IAsyncLifetime
{
    private readonly TempDirectory directory = new(onTmpfs: true);
    private AgentUnderTest agent = null!;

    private VolumeRecordFile Record => new(directory.File("arbiter"), "v");

    private string Disk => agent.DiskPath("v");

    private string State => Path.Combine(Path.GetDirectoryName(Disk)!, "replica.state");

    public async ValueTask InitializeAsync()
    {
        agent = await AgentUnderTest.StartAsync("a", directory.Path, directory.File("arbiter"));
        Record.TryCreate(new("v", 1, "a", "", SecondaryState.None)).Done.ShouldBeTrue();
        await agent.Client.PrepareAsync(AgentPair.Request("v", 1, Role.Primary));
        await Guest.WriteAsync(agent.GuestUri("v"), 0x11, "0", "64k");
    }

    public async ValueTask DisposeAsync()
    {
        await agent.DisposeAsync();
        directory.Dispose();
    }

    [Fact]
    public async Task A_disk_that_was_restored_from_a_copy_is_refused_until_somebody_vouches_for_it()
    {
        string generation = (await agent.StatusAsync("v")).Generation;
        (await agent.TerminateAsync()).ShouldBe(0);
        File.Copy(Disk, Disk + ".copy");
        File.Move(Disk + ".copy", Disk, overwrite: true);
        await agent.StartAsync();
        await ExpectFaultAsync("another file");
        await Should.ThrowAsync<Grpc.Core.RpcException>(async () => await agent.Client.PrepareAsync(AgentPair.Request("v", 1, Role.Primary)));
        await ExpectFaultAsync("another file");

        string accept = Path.Combine(Path.GetDirectoryName(Disk)!, "accept-disk");
        await File.WriteAllTextAsync(accept, "w\n");
        await agent.KillAsync();
        await agent.StartAsync();
        await ExpectFaultAsync("another file");
        await File.WriteAllTextAsync(accept, "v\n");
        await agent.KillAsync();
        await agent.StartAsync();
        await Guest.ExpectAsync(agent.GuestUri("v"), 0x11, "0", "64k");
        File.Exists(accept).ShouldBeFalse();
        (await agent.StatusAsync("v")).Generation.ShouldNotBe(generation, "what it holds is not known to be what its peer knows of");
    }

    [Fact]
    public async Task A_disk_that_was_written_while_it_was_closed_is_refused_and_one_that_was_only_read_is_not()
    {
        (await agent.TerminateAsync()).ShouldBe(0);
        (await File.ReadAllBytesAsync(Disk)).LongLength.ShouldBe(AgentPair.SizeBytes);
        await agent.StartAsync();
        await Guest.ExpectAsync(agent.GuestUri("v"), 0x11, "0", "64k");
        (await agent.TerminateAsync()).ShouldBe(0);
        await using (FileStream disk = new(Disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            disk.Write(new byte[512]);
        }

        await agent.StartAsync();
        await ExpectFaultAsync("was changed");
    }

    [Fact]
    public async Task A_state_that_was_set_back_while_the_machine_ran_is_refused()
    {
        byte[] old = await File.ReadAllBytesAsync(State);
        (await agent.TerminateAsync()).ShouldBe(0);
        await File.WriteAllBytesAsync(State, old);
        await agent.StartAsync();
        await ExpectFaultAsync("an old copy was put back");
    }

    [Fact]
    public async Task A_disk_without_its_state_and_a_state_without_its_disk_are_faults_and_not_nothing()
    {
        (await agent.TerminateAsync()).ShouldBe(0);
        File.Move(State, State + ".away");
        await agent.StartAsync();
        await ExpectFaultAsync("without");
        await agent.KillAsync();
        File.Move(State + ".away", State);
        File.Move(Disk, Disk + ".away");
        await agent.StartAsync();
        await ExpectFaultAsync("is not there");
    }

    [Fact]
    public async Task A_disk_that_was_put_back_into_its_file_after_the_machine_went_down_is_refused()
    {
        await using AgentUnderTest machine = await AgentUnderTest.StartUnderAsync(
            ["unshare", .. Environment.IsPrivilegedProcess ? Array.Empty<string>() : ["--map-root-user"], "--mount", "bash", "-euc",
                "if [ -e $0 ]; then mount --bind $0 /proc/sys/kernel/random/boot_id; fi; exec \"$@\"", directory.File("boot")],
            "m", directory.Path, directory.File("arbiter"));
        await machine.KillAsync();
        await File.WriteAllTextAsync(directory.File("boot"), "11111111-2222-4333-8444-555555555555\n");
        await machine.StartAsync();
        new VolumeRecordFile(directory.File("arbiter"), "w").TryCreate(new("w", 1, "m", "", SecondaryState.None)).Done.ShouldBeTrue();
        await machine.Client.PrepareAsync(AgentPair.Request("w", 1, Role.Primary));
        await Guest.WriteAsync(machine.GuestUri("w"), 0x11, "0", "64k");
        await machine.KillAsync();
        await machine.StartAsync();
        await Guest.ExpectAsync(machine.GuestUri("w"), 0x11, "0", "64k");
        await machine.KillAsync();

        // This machine has run for longer than the files are old: to another boot, that of its kernel, they were changed in it.
        File.Delete(directory.File("boot"));
        await machine.StartAsync();
        VolumeStatus status = await machine.StatusAsync("w");
        status.State.ShouldBe(ReplicaState.Faulted);
        status.Fault.ShouldContain("in which no agent had it");
    }

    [Fact]
    public async Task A_record_of_a_term_below_one_that_was_seen_is_no_answer()
    {
        VolumeRecord first = Record.Read()!;
        byte[] old = await File.ReadAllBytesAsync(Record.Path);
        Record.TryReplace(first, first with { Term = 2 }).Done.ShouldBeTrue();
        await agent.Client.PrepareAsync(AgentPair.Request("v", 2, Role.Primary));
        await agent.KillAsync();
        await File.WriteAllBytesAsync(Record.Path, old);
        await agent.StartAsync();
        await Eventually.TrueAsync(() => agent.Log.Contains("an old copy was put back", StringComparison.Ordinal), "the agent says so");
        (await agent.StatusAsync("v")).State.ShouldBe(ReplicaState.WaitingArbiter);
    }

    private async Task ExpectFaultAsync(string reason)
    {
        VolumeStatus status = await agent.StatusAsync("v");
        status.State.ShouldBe(ReplicaState.Faulted, agent.Log);
        status.Fault.ShouldContain(reason);
        (await Guest.IoAsync(agent.GuestUri("v"), "read 0 4k")).ExitCode.ShouldNotBe(0, "it serves nothing");
    }
}
