using Colo.Blocks;
using Colo.Fuzz.Targets;
using Colo.Nbd.Client;
using Colo.Nbd.Server;
using Colo.Testing;

namespace Colo.Fuzz.Seeds;

/// <summary>What real clients, and ours, say to our server.</summary>
internal static class ServerSeeds
{
    private static readonly (string Name, string Command)[] Clients =
    [
        ("nbdinfo", "nbdinfo --json {0}"),
        ("nbdinfo-list", "nbdinfo --list {0}"),
        ("nbdinfo-map", "nbdinfo --map {0}"),
        ("qemu-io", "qemu-io -f raw -c 'write -P 5 0 4k' -c 'read 512 1k' -c 'write -z 8k 4k' -c 'discard 16k 4k' -c flush '{0}'"),
        ("nbdsh", "PATH=/usr/bin:$PATH nbdsh -u '{0}' -c 'h.pwrite(b\"x\" * 1000, 77); h.zero(4096, 8192); h.trim(4096, 0); h.flush(); h.pread(5000, 3); h.cache(4096, 0)'"),
        ("qemu-img-map", "qemu-img map -f raw --output=json '{0}'"),
    ];

    public static async Task MakeAsync(string folder, TempDirectory work)
    {
        NbdExport export = new(ServerTarget.ExportName, new MemoryDisk(ServerTarget.DiskBytes))
        {
            Checkpoint = static _ => new(BlockStatus.Ok),
        };
        await using NbdServer server = new(
            new NbdServerOptions { Listeners = [new NbdListener.Unix(work.File("ours"))] }, new NbdExportTable(export));
        await server.StartAsync();
        foreach ((string name, string command) in Clients)
        {
            await using Relay relay = new(work.File(name), work.File("ours"));
            string uri = $"nbd+unix:///{ServerTarget.ExportName}?socket={work.File(name)}";
            (await Tool.BashAsync(string.Format(System.Globalization.CultureInfo.InvariantCulture, command, uri))).EnsureSuccess();
            int number = 0;
            foreach (Recording recording in relay.Recordings)
            {
                SeedMaker.Save(folder, ServerTarget.HandshakeName, $"{name}-{number++}.bin", recording.Client);
            }
        }

        await OurClientAsync(folder, work);
    }

    /// <summary>Ours speaks each form of the protocol; its recordings are cut where the handshake ends.</summary>
    private static async Task OurClientAsync(string folder, TempDirectory work)
    {
        for (int way = 0; way < ClientRequests.ConnectingWays; way++)
        {
            string path = work.File($"way-{way}");
            int said = 0;
            int heard = 0;
            await using Relay relay = new(path, work.File("ours"));
            await ClientRequests.RunAsync(NbdEndpoint.Unix(path, ServerTarget.ExportName), way, () =>
            {
                said = relay.Recordings[0].Client.Length;
                heard = relay.Recordings[0].Server.Length;
            });
            Recording recording = relay.Recordings[0];
            SeedMaker.Save(folder, ServerTarget.HandshakeName, $"ours-{way}.bin", recording.Client);
            SeedMaker.Save(folder, ServerTarget.TransmissionName, $"_handshake-{way}.bin", recording.Client[..said]);
            SeedMaker.Save(folder, ServerTarget.TransmissionName, $"ours-{way}.bin", [(byte)way, .. recording.Client[said..]]);
            SeedMaker.Save(folder, ClientTarget.RepliesName, $"_handshake-{way}.bin", recording.Server[..heard]);
            SeedMaker.Save(folder, ClientTarget.RepliesName, $"ours-{way}.bin", [(byte)way, .. recording.Server[heard..]]);
        }
    }
}
