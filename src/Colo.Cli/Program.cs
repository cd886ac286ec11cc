using System.CommandLine;
using Colo.Cli;
using Colo.Cli.Commands;

// coloctl, which is also kubectl-colo. The map:
//   what can be typed                Commands/
//   volumes of a Kubernetes cluster  Cluster/  (requests are annotations; the operator carries them out)
//   one installation on one machine  Local/    (layout, processes, control loop)
//   what a person sees               Status/
// The decisions are not here: Colo.Control makes them.
RootCommand root = ColoctlCommand.Create();
if (CalledAs.PluginCompletion)
{
    return CompletionCommand.Answer(root, args);
}

if (args is [CompletionCommand.CallBack, ..])
{
    return CompletionCommand.Answer(root, args[1..]);
}

ParseResult parsed = root.Parse(args);
if (parsed.Errors.Count > 0)
{
    foreach (string message in parsed.Errors.Select(e => e.Message).Distinct(StringComparer.Ordinal))
    {
        await Console.Error.WriteLineAsync($"{CalledAs.Command}: {message}");
    }

    await Console.Error.WriteLineAsync($"{CalledAs.Command}: --help shows what can be given");
    return ExitCode.Usage;
}

try
{
    return await parsed.InvokeAsync(new InvocationConfiguration
    {
        EnableDefaultExceptionHandler = false,

        // After Ctrl-C: the screen is given back and open watches end, which takes a moment on a machine without time to spare.
        ProcessTerminationTimeout = TimeSpan.FromSeconds(10),
    });
}
catch (CommandException e)
{
    await Console.Error.WriteLineAsync($"{CalledAs.Command}: {e.Message}");
    return e.Code;
}
catch (OperationCanceledException)
{
    return ExitCode.Failed;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    await Console.Error.WriteLineAsync($"{CalledAs.Command}: {e.Message}");
    return ExitCode.Failed;
}
