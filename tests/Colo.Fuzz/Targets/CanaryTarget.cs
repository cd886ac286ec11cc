using System.Text;

namespace Colo.Fuzz.Targets;

/// <summary>Proves the driver itself: does on demand what it must notice. Not part of "all".</summary>
internal sealed class CanaryTarget : IFuzzTarget
{
    public const string TargetName = "canary";

    private static readonly List<byte[]> Kept = [];

    public string Name => TargetName;

    public string Summary => "the driver missed it";

    public void Run(byte[] input)
    {
        switch (Encoding.ASCII.GetString(input))
        {
            case "crash":
                throw new InvalidOperationException("as asked");
            case "crash elsewhere":
                Thread thread = new(() => throw new InvalidOperationException("as asked, on a thread of its own"));
                thread.Start();
                thread.Join();
                break;
            case "allocate":
                Kept.Add(new byte[300 << 20]);
                break;
            case "hang":
                Thread.CurrentThread.Join();
                break;
            default:
                break;
        }
    }

    public void Dispose() => Kept.Clear();
}
