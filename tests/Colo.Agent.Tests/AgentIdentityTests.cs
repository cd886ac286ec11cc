using Colo.Agent.Cluster;
using Colo.Agent.Options;
using Colo.Testing;

namespace Colo.Agent.Tests;

public sealed class AgentIdentityTests : IDisposable
{
    private readonly TempDirectory directory = new(onTmpfs: true);

    private string IdentityPath => directory.File(".agent-id");

    public void Dispose() => directory.Dispose();

    [Fact]
    public void It_is_the_same_over_restarts_and_another_on_other_disks()
    {
        AgentIdentity first = Open();
        Open().Storage.ShouldBe(first.Storage);
        Open().Instance.ShouldNotBe(first.Instance);
        File.Delete(IdentityPath);
        Open().Storage.ShouldNotBe(first.Storage);
    }

    [Fact]
    public void One_that_is_torn_or_rotten_is_no_identity_and_is_not_overwritten()
    {
        string first = Open().Storage;
        byte[] good = File.ReadAllBytes(IdentityPath);
        for (int at = 0; at < good.Length; at++)
        {
            byte[] bad = [.. good];
            bad[at] ^= 0x10;
            foreach (byte[] content in new[] { bad, good[..at] })
            {
                File.WriteAllBytes(IdentityPath, content);
                Open().Storage.ShouldNotBe(first);
                File.ReadAllBytes(IdentityPath).ShouldBe(content);
            }
        }
    }

    private AgentIdentity Open() => AgentIdentity.Open(new AgentOptions { NodeName = "n", Pools = new() { ["default"] = directory.Path } });
}
