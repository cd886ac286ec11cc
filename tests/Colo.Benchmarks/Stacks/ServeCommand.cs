using System.CommandLine;
using Colo.Linux;
using Colo.Nbd.Server;

namespace Colo.Benchmarks.Stacks;

/// <summary>`serve`: one raw file behind one NBD server until the standard input ends. What the benchmark starts for itself.</summary>
internal static class ServeCommand
{
    public const string Name = "serve";

    public static Command Create()
    {
        Option<string> disk = new("--disk") { Required = true };
        Option<string> socket = new("--socket") { Required = true };
        Option<string> export = new("--export") { Required = true };
        Command command = new(Name, "Serve a raw file (for the benchmark's own use)") { disk, socket, export };
        command.Hidden = true;
        command.SetAction((arguments, _) => ServeAsync(arguments.GetValue(disk)!, arguments.GetValue(socket)!, arguments.GetValue(export)!));
        return command;
    }

    private static async Task<int> ServeAsync(string disk, string socket, string export)
    {
        await using RawFile device = RawFile.Open(disk);
        await using NbdServer server = new(
            new NbdServerOptions { Listeners = [new NbdListener.Unix(socket)] },
            new NbdExportTable(new NbdExport(export, device)));
        await server.StartAsync();
        while (await Console.In.ReadLineAsync() is not null)
        {
        }

        return 0;
    }
}
