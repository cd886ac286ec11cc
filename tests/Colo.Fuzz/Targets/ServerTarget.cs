using Colo.Blocks;
using Colo.Nbd.Server;
using Colo.Testing;
using Microsoft.Extensions.Logging;

namespace Colo.Fuzz.Targets;

/// <summary>
/// The NBD server: everything a client can say, from its first byte (handshake) or behind a good handshake (transmission). After a
/// while a good client comes by and must be served exactly as at the start.
/// </summary>
internal sealed class ServerTarget : IFuzzTarget
{
    public const string HandshakeName = "server-handshake";
    public const string TransmissionName = "server-transmission";
    public const int DiskBytes = 256 << 10;
    public const string ExportName = "disk";

    private const int GoodClientEvery = 500;

    private static readonly NbdPeer Peer = new("fuzz");

    private readonly byte[][] prefixes;
    private readonly FaultRecorder faults = new();
    private readonly MemoryDisk disk;
    private readonly NbdServer server;
    private long executions;
    private byte[]? goodAnswer;

    public ServerTarget(string name, byte[][] prefixes)
    {
        Name = name;
        this.prefixes = prefixes;

        // Every third place on the disk answers later, from another thread: the waiting path of a session is fuzzed too.
        disk = new MemoryDisk(DiskBytes) { Gate = static (_, offset) => offset / 4096 % 3 == 1 ? LaterAsync() : Task.CompletedTask };
        NbdExport export = new(ExportName, disk) { Description = "fuzz", Checkpoint = static _ => new(BlockStatus.Ok) };
        server = new NbdServer(new NbdServerOptions(), new NbdExportTable(export), faults);
    }

    public string Name { get; }

    public string Summary => $"{disk.Reads} reads, {disk.Writes} writes and {disk.Flushes} flushes reached the disk";

    public void Run(byte[] input)
    {
        if (prefixes.Length == 0 || input.Length == 0)
        {
            Serve(input, input.Length);
        }
        else
        {
            byte[] prefix = prefixes[input[0] % prefixes.Length];
            goodAnswer ??= Serve(prefixes[0], 0);
            Serve([.. prefix, .. input.AsSpan(1)], input.Length);
            if (++executions % GoodClientEvery == 0 && !Serve(prefixes[0], 0).AsSpan().SequenceEqual(goodAnswer))
            {
                throw new FuzzFailureException("a good client is not served as before");
            }
        }

        if (server.ConnectionCount != 0)
        {
            throw new FuzzFailureException($"{server.ConnectionCount} connections are left");
        }
    }

    public void Dispose() => server.DisposeAsync().AsTask().GetAwaiter().GetResult();

    private byte[] Serve(byte[] said, int variation)
    {
        using ScriptedStream stream = new(said, PieceBytes(said, variation));
        server.Serve(stream, Peer).GetAwaiter().GetResult();
        faults.Throw();
        return stream.Heard.ToArray();
    }

    /// <summary>Most inputs come in one piece, some byte by byte or in odd pieces.</summary>
    private static int PieceBytes(byte[] said, int variation) => (variation % 8) switch
    {
        1 => 1,
        3 => 7,
        5 => 29,
        _ => Math.Max(1, said.Length),
    };

    private static async Task LaterAsync() => await Task.Yield();

    /// <summary>What the server itself calls a fault: a connection that stopped on ours, or a device that threw.</summary>
    private sealed class FaultRecorder : ILogger<NbdServer>
    {
        private string? fault;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

        public void Log<TState>(LogLevel level, EventId id, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            fault ??= $"{level} {id}: {formatter(state, exception)}\n{exception}";

        public void Throw()
        {
            if (fault is { } text)
            {
                throw new FuzzFailureException(text);
            }
        }
    }
}
