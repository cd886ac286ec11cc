using System.Globalization;
using System.Text.RegularExpressions;

namespace Colo.Testing.Qemu;

/// <summary>
/// Patterned reads and writes by qemu-io, over NBD on a unix socket. A read that finds another byte than the pattern fails the
/// run (qemu-io itself exits with 0 then, so its words are read).
/// </summary>
public sealed partial class QemuIo(string nbdSocket, string export)
{
    public Task WriteAsync(long offsetBytes, long lengthBytes, byte pattern) =>
        RunAsync(string.Create(CultureInfo.InvariantCulture, $"write -P {pattern} {offsetBytes} {lengthBytes}"));

    /// <summary>Throws where any byte of the range is not the pattern.</summary>
    public Task VerifyAsync(long offsetBytes, long lengthBytes, byte pattern) =>
        RunAsync(string.Create(CultureInfo.InvariantCulture, $"read -P {pattern} {offsetBytes} {lengthBytes}"));

    public Task FlushAsync() => RunAsync("flush");

    private async Task RunAsync(string command)
    {
        ToolResult result = await Tool.RunAsync("qemu-io", "-f", "raw", "-c", command, $"nbd+unix:///{export}?socket={nbdSocket}");
        string said = result.EnsureSuccess() + result.Error;
        if (Complaint().IsMatch(said))
        {
            throw new InvalidOperationException($"qemu-io {command} on {export}: {said}");
        }
    }

    [GeneratedRegex("failed|error|cannot", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Complaint();
}
