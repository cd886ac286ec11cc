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
