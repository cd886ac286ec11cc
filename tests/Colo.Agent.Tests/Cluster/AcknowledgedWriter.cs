using System.Globalization;
using Colo.Testing;

namespace Colo.Agent.Tests.Cluster;

/// <summary>
/// A guest (libnbd's shell) that writes one block after the other, the next only when the former was acknowledged, and remembers what each
/// block must hold. It writes in the second half of the disk; the first is the test's own.
/// </summary>
internal sealed class AcknowledgedWriter : IAsyncDisposable
{
    /// <summary>Says each acknowledgement with its number; at the end of its input reads every block back.</summary>
    private const string Script =
        """
        import os, select, struct, sys
        h.connect_uri(os.environ['URI'])
        half = h.get_size() // 2
        blocks = half // 4096
        expected = [0] * blocks
        number = 0
        while not select.select([sys.stdin], [], [], 0.002)[0]:
            number += 1
            block = number % blocks
            h.pwrite(struct.pack('<q', number) + bytes(4088), half + block * 4096)
            expected[block] = number
            print(number, flush=True)
        for block in range(blocks):
            found, = struct.unpack('<q', h.pread(8, half + block * 4096))
            assert found == expected[block], f'block {block} holds {found}, acknowledged was {expected[block]}'
        print('verified', flush=True)
        """;

    private readonly RunningTool guest;

    private AcknowledgedWriter(RunningTool guest) => this.guest = guest;

    public long Acknowledged
    {
        get
        {
            // What follows the last line's end is a number of which not all digits are here yet.
            string[] said = guest.Output.Split('\n');
            return said.Length < 2 ? 0 : long.Parse(said[^2], CultureInfo.InvariantCulture);
        }
    }

    /// <summary>As the nbdsh script does it, but with the system's python whatever stands first on the path.</summary>
    public static AcknowledgedWriter Open(string uri) => new(RunningTool.Start(
        "/usr/bin/python3", ["-m", "nbd", "-c", Script], new Dictionary<string, string>(StringComparer.Ordinal) { ["URI"] = uri }));

    /// <summary>Waits for as many acknowledgements from now on.</summary>
    public async Task MoreAsync(int count, string what)
    {
        long goal = Acknowledged + count;
        await Eventually.TrueAsync(
            () => guest.Process.HasExited ? throw new InvalidOperationException(guest.Error) : Task.FromResult(Acknowledged >= goal), what);
    }

    /// <summary>Ends the work, and has every block read back: each holds the number that was acknowledged last.</summary>
    public async Task VerifyAsync()
    {
        guest.Process.StandardInput.Close();
        ToolResult result = await guest.WaitAsync();
        result.EnsureSuccess().ShouldContain("verified");
    }

    public ValueTask DisposeAsync() => guest.DisposeAsync();
}
