namespace Colo.Cli;

/// <summary>What the shell is told. Documented in the help of `coloctl` and `coloctl local`.</summary>
public static class ExitCode
{
    public const int Ok = 0;

    /// <summary>It was tried and failed, or was refused.</summary>
    public const int Failed = 1;

    /// <summary>The command line or the manifest is wrong, or names a volume that is not there; nothing was done.</summary>
    public const int Usage = 2;

    /// <summary>Not finished within the time given; it goes on in the background.</summary>
    public const int TimedOut = 3;

    /// <summary>Nothing answers: no control loop here, no cluster, no operator in it.</summary>
    public const int NotRunning = 4;
}

/// <summary>An outcome that a person should read as it is: no stack, one line, an exit code.</summary>
public sealed class CommandException(int code, string message) : Exception(message)
{
    public int Code { get; } = code;
}
