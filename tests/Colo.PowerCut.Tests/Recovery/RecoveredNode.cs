using System.Text;
using Colo.Agent.Hosting;
using Colo.Agent.Volumes;
using Colo.AgentApi;
using Colo.Nbd.Client;
using Colo.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Colo.PowerCut.Tests;

/// <summary>All of an agent but its gRPC listener, in this process: it adopts what lies in a node's pool after a cut, as another boot.</summary>
public sealed class RecoveredNode : IAsyncDisposable
{
    private readonly string root;
    private readonly string node;
    private readonly WebApplication app;
    private readonly VolumeCatalog catalog;
    private readonly StringBuilder log = new();

    private RecoveredNode(string root, string node, TimeSpan peerTimeout)
    {
        (this.root, this.node) = (root, node);
        app = Build([.. TracedPair.Arguments(root, node, RunOf(root, node)), "--peer-timeout-milliseconds", $"{(int)peerTimeout.TotalMilliseconds}"]);
        app.Services.GetRequiredService<ILoggerFactory>().AddProvider(new Collecting(log));
        catalog = app.Services.GetRequiredService<VolumeCatalog>();
    }

    public string Log
    {
        get
        {
            lock (log)
            {
                return log.ToString();
            }
        }
    }

    /// <summary>Null where the node has no replica.</summary>
    public VolumeStatus? Status => catalog.Status("").SingleOrDefault();

    public VolumeCatalog Calls => catalog;

    public string ReplicationAddress => app.Services.GetRequiredService<Colo.Agent.Service.BoundAddresses>().Replication;

    /// <param name="root">Of the recording.</param>
    /// <param name="node">Which of the two.</param>
    /// <param name="hasPeer">The other is started, too. Alone, a primary need not wait for it for long; with it, a busy machine must not look
    /// like a lost peer.</param>
    public static async Task<RecoveredNode> StartAsync(string root, string node, bool hasPeer = false)
    {
        RecoveredNode recovered = new(root, node, hasPeer ? TimeSpan.FromMilliseconds(1500) : TimeSpan.FromMilliseconds(100));
        await recovered.catalog.StartAsync(CancellationToken.None);
        return recovered;
    }

    /// <summary>Once the primary serves, or will not.</summary>
    public async Task<VolumeStatus> WhenSettledAsync()
    {
        await Eventually.TrueAsync(() => !Status!.Suspended, $"{node} settles");
        return Status!;
    }

    /// <summary>All of the disk as its guest reads it; null where it is refused.</summary>
    public Task<byte[]?> ReadAsync(long sizeBytes) => ReadAsync("", sizeBytes);

    /// <summary>As a secondary VM would.</summary>
    public Task<byte[]?> ReadViewAsync(long sizeBytes) => ReadAsync("-vmview", sizeBytes);

    public async ValueTask DisposeAsync()
    {
        await catalog.StopAsync(CancellationToken.None);
        await app.DisposeAsync();
    }

    private async Task<byte[]?> ReadAsync(string suffix, long sizeBytes)
    {
        string socket = Path.Combine(RunOf(root, node), "s", PairWorkload.Uid + suffix + ".sock");
        await using NbdClientDevice guest = await NbdClient.ConnectAsync($"nbd+unix:///{PairWorkload.Uid}?socket={socket}");
        byte[] disk = new byte[sizeBytes];
        return await guest.ReadAsync(0, disk) == Blocks.BlockStatus.Ok ? disk : null;
    }

    private static string RunOf(string root, string node) => Path.Combine(root, "r" + node);

    /// <summary>Its log goes to <see cref="Log"/>: hundreds of agents on the console would hide what a test says.</summary>
    private static WebApplication Build(IReadOnlyList<string> arguments)
    {
        TextWriter console = Console.Out;
        Console.SetOut(TextWriter.Null);
        try
        {
            return AgentHost.Build(arguments);
        }
        finally
        {
            Console.SetOut(console);
        }
    }

    private sealed class Collecting(StringBuilder into) : ILoggerProvider, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (into)
            {
                into.AppendLine(formatter(state, exception));
            }
        }

        public void Dispose()
        {
        }
    }
}
