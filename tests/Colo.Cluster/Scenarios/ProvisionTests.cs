using System.Diagnostics;
using Colo.Cluster.Lab;
using Colo.Testing;

namespace Colo.Cluster.Scenarios;

/// <summary>From a manifest to a protected disk, and back to nothing.</summary>
public sealed class ProvisionTests(KubeCluster cluster) : Scenario(cluster)
{
    [Fact]
    public async Task Applied_written_and_deleted()
    {
        long start = Stopwatch.GetTimestamp();
        Volume volume = await VolumeAsync();
        Notes.Add("apply to Protected", Stopwatch.GetElapsedTime(start));

        string table = await Cluster.Kubectl.OutputAsync("get", "rvol", volume.Name);
        table.ShouldContain("Protected");
        table.ShouldContain(volume.Primary.Name);

        string uri = $"nbd+unix:///{volume.Uid}?socket={volume.SocketOn(volume.Primary)}";
        (await Tool.RunAsync(
            "fio",
            "--name=e2e",
            "--ioengine=nbd",
            $"--uri={uri}",
            "--rw=randwrite",
            "--bs=4k",
            "--iodepth=16",
            "--offset=40M",
            "--size=16M",
            "--verify=crc32c",
            "--verify_fatal=1",
            "--thread")).EnsureSuccess();
        await volume.ProveAsync();

        start = Stopwatch.GetTimestamp();
        await volume.DeleteAsync();
        Notes.Add("deleted within", Stopwatch.GetElapsedTime(start));
        volume.HasFilesOn(volume.Primary).ShouldBeFalse();
        volume.HasFilesOn(volume.Secondary).ShouldBeFalse();
    }

    [Fact]
    public async Task Deleted_while_its_secondary_is_dead()
    {
        Volume volume = await VolumeAsync();
        await volume.Secondary.KillAsync();

        long start = Stopwatch.GetTimestamp();
        await volume.DeleteAsync();
        Notes.Add("deleted without its dead node after", Stopwatch.GetElapsedTime(start));

        volume.HasFilesOn(volume.Primary).ShouldBeFalse();
        string events = await Cluster.Kubectl.OutputAsync(
            "get", "events", "--field-selector", $"involvedObject.name={volume.Name}", "-o", "jsonpath={.items[*].message}");
        events.ShouldContain(volume.Secondary.Name, customMessage: "an Event says what is left on the dead node");
    }
}
