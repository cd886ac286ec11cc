using System.Text;
using Colo.Agent.Volumes;
using Colo.Linux;
using Colo.Testing;

namespace Colo.Agent.Tests;

/// <summary>A state with a good checksum that says what no agent would write, as the fuzzer found them: refused, not half believed.</summary>
public sealed class StoredStateTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);

    [Theory]
    [InlineData("\"plainExportName\": \"\"", "\"plainExportName\": null")]
    [InlineData("\"generation\": \"g\"", "\"generation\": null")]
    [InlineData("\"role\": \"Primary\"", "\"role\": \"Unspecified\"")]
    [InlineData("\"medium\": \"Memory\"", "\"medium\": 77")]
    [InlineData("\"peer\": null", "\"peer\": {\"node\": null, \"replicationAddress\": \"b:1\", \"exportName\": \"\", \"qmpAddress\": \"\"}")]
    [InlineData("\"arbiterDirectory\": \"/run/records\"", "\"arbiterDirectory\": \"records\"")]
    public void A_state_with_a_part_missing_or_unknown_is_damaged(string good, string bad)
    {
        string path = Path.Combine(Directory.CreateDirectory(directory.File("v")).FullName, ReplicaPaths.StateFileName);
        StoredReplicaFile file = new(path);
        file.Write(State());
        file.Read().ShouldBe(State());
        string text = Encoding.UTF8.GetString(new AtomicFile(path, "replica").Read()!.Bytes.Span);
        text.ShouldContain(good);
        new AtomicFile(path, "replica").Write(Encoding.UTF8.GetBytes(text.Replace(good, bad, StringComparison.Ordinal)));
        Should.Throw<VolumeFaultException>(() => new StoredReplicaFile(path).Read()).Kind.ShouldBe(VolumeFaultKind.Damaged);
    }

    [Fact]
    public void A_state_that_is_torn_or_rotten_anywhere_or_of_a_newer_agent_is_damaged()
    {
        string path = Path.Combine(Directory.CreateDirectory(directory.File("v")).FullName, ReplicaPaths.StateFileName);
        new StoredReplicaFile(path).Write(State());
        byte[] good = File.ReadAllBytes(path);
        for (int at = 0; at < good.Length; at++)
        {
            byte[] bad = [.. good];
            bad[at] ^= 0x10;
            File.WriteAllBytes(path, bad);
            Should.Throw<VolumeFaultException>(() => new StoredReplicaFile(path).Read(), $"byte {at}").Kind.ShouldBe(VolumeFaultKind.Damaged);
            File.WriteAllBytes(path, good[..at]);
            Should.Throw<VolumeFaultException>(() => new StoredReplicaFile(path).Read(), $"{at} bytes").Kind.ShouldBe(VolumeFaultKind.Damaged);
        }

        File.WriteAllBytes(path, good);
        new StoredReplicaFile(path).Write(State() with { Version = StoredReplica.CurrentVersion + 1 });
        Should.Throw<VolumeFaultException>(() => new StoredReplicaFile(path).Read()).Message.ShouldContain("newer than this agent");
    }

    [Theory]
    [InlineData("memory.seen")]
    [InlineData("v/replica.seen")]
    public void A_state_that_was_set_back_is_told_by_either_witness_and_a_damaged_witness_is_refused(string kept)
    {
        string path = Path.Combine(Directory.CreateDirectory(directory.File("v")).FullName, ReplicaPaths.StateFileName);
        string[] witnesses = [directory.File("memory.seen"), directory.File("v/replica.seen")];
        new StoredReplicaFile(path, witnesses).Begin(State());
        byte[] old = File.ReadAllBytes(path);
        new StoredReplicaFile(path, witnesses).Write(State() with { HighestTerm = 4 });
        new StoredReplicaFile(path, witnesses).Read()!.HighestTerm.ShouldBe(4);
        File.WriteAllBytes(path, old);
        File.Delete(witnesses.Single(w => w != directory.File(kept)));
        Should.Throw<VolumeFaultException>(() => new StoredReplicaFile(path, witnesses).Read()).Message.ShouldContain("old copy");
        byte[] note = File.ReadAllBytes(directory.File(kept));
        note[^1] ^= 1;
        File.WriteAllBytes(directory.File(kept), note);
        Should.Throw<VolumeFaultException>(() => new StoredReplicaFile(path, witnesses).Read()).Message.ShouldContain(directory.File(kept));
    }

    public void Dispose() => directory.Dispose();

    private static StoredReplica State() => new()
    {
        Version = StoredReplica.CurrentVersion,
        HighestTerm = 3,
        Generation = "g",
        Spec = new(
            "v", 3, AgentApi.Role.Primary, "disk", "vms", 1 << 20, "default",
            new(AgentApi.BufferMedium.Memory, 1 << 20, AgentApi.BufferFullPolicy.Checkpoint), AgentApi.RecoveryPoint.LatestWrite, null, "/run/records", 0, "",
            GuestTcp: false),
    };
}
