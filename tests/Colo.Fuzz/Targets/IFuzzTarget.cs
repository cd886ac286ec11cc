namespace Colo.Fuzz.Targets;

/// <summary>One door that hostile bytes can come to.</summary>
internal interface IFuzzTarget : IDisposable
{
    string Name { get; }

    /// <summary>What the run reached, in a few words and numbers: inputs that all fail at the first byte test nothing.</summary>
    string Summary { get; }

    /// <summary>Returns where the input was served or refused as it should be; any exception that comes out is a finding.</summary>
    void Run(byte[] input);
}

/// <summary>The code under test did what it must never do.</summary>
internal sealed class FuzzFailureException(string message, Exception? inner = null) : Exception(message, inner);

internal static class FuzzTargets
{
    public static IReadOnlyList<string> Names { get; } =
    [
        ServerTarget.HandshakeName, ServerTarget.TransmissionName, ClientTarget.HandshakeName, ClientTarget.RepliesName, Qcow2Target.TargetName,
        AgentStateTarget.TargetName, AgentRequestTarget.TargetName,
    ];

    public static IFuzzTarget Create(string name, string corpus) => name switch
    {
        ServerTarget.HandshakeName => new ServerTarget(name, []),
        ServerTarget.TransmissionName => new ServerTarget(name, Prefixes(corpus, name)),
        ClientTarget.HandshakeName => new ClientTarget(name, []),
        ClientTarget.RepliesName => new ClientTarget(name, Prefixes(corpus, name)),
        Qcow2Target.TargetName => new Qcow2Target(),
        AgentStateTarget.TargetName => new AgentStateTarget(),
        AgentRequestTarget.TargetName => new AgentRequestTarget(),
        CanaryTarget.TargetName => new CanaryTarget(),
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "no such target"),
    };

    /// <summary>Good handshakes, recorded; an input's first byte chooses one.</summary>
    private static byte[][] Prefixes(string corpus, string name) =>
        [.. Directory.GetFiles(Path.Combine(corpus, name), "_handshake-*").Order(StringComparer.Ordinal).Select(File.ReadAllBytes)];
}
