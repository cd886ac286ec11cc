using System.Globalization;
using Colo.Fuzz.Targets;
using Colo.Nbd.Client;
using Colo.Testing;

namespace Colo.Fuzz.Seeds;

/// <summary>What real servers say to our client, in every way it asks.</summary>
internal static class ClientSeeds
{
    public static async Task MakeAsync(string folder, TempDirectory work)
    {
        string size = ServerTarget.DiskBytes.ToString(CultureInfo.InvariantCulture);
        await using (RunningTool nbdkit = RunningTool.Start("nbdkit", ["-f", "-U", work.File("nbdkit"), "memory", size]))
        {
            await RecordAsync(folder, work, "nbdkit");
        }

        await File.WriteAllBytesAsync(work.File("raw"), new byte[ServerTarget.DiskBytes]);
        await using (RunningTool qemu = RunningTool.Start(
            "qemu-nbd", ["-t", "-k", work.File("qemu-nbd"), "-x", ServerTarget.ExportName, "-D", "a disk", "-f", "raw", work.File("raw")]))
        {
            await RecordAsync(folder, work, "qemu-nbd");
        }
    }

    private static async Task RecordAsync(string folder, TempDirectory work, string server)
    {
        await Eventually.TrueAsync(() => File.Exists(work.File(server)), $"{server} listens");
        for (int way = 0; way < ClientRequests.Ways; way++)
        {
            string path = work.File($"{server}-{way}");
            await using Relay relay = new(path, work.File(server));
            await ClientRequests.RunAsync(NbdEndpoint.Unix(path, ServerTarget.ExportName), way);
            SeedMaker.Save(folder, ClientTarget.HandshakeName, $"{server}-{way}.bin", [(byte)way, .. relay.Recordings[0].Server]);
        }
    }
}
