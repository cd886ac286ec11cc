using System.CommandLine;
using Colo.Cli;
using Colo.Cli.Commands;

// coloctl. The map:
//   what can be typed               Commands/
//   one installation on one machine Local/   (layout, processes, control loop: observe, plan, act)
//   what a person sees              Status/
// The decisions are not here: Colo.Control makes them.
ParseResult parsed = ColoctlCommand.Create().Parse(args);
if (parsed.Errors.Count > 0)
{
    foreach (string message in parsed.Errors.Select(e => e.Message).Distinct(StringComparer.Ordinal))
    {
        await Console.Error.WriteLineAsync($"coloctl: {message}");
    }

    await Console.Error.WriteLineAsync("coloctl: --help shows what can be given");
    return ExitCode.Usage;
}

try
{
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (CommandException e)
{
    await Console.Error.WriteLineAsync($"coloctl: {e.Message}");
    return e.Code;
}
catch (OperationCanceledException)
{
    return ExitCode.Failed;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    await Console.Error.WriteLineAsync($"coloctl: {e.Message}");
    return ExitCode.Failed;
}
