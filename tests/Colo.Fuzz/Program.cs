using Colo.Fuzz;
using Colo.Fuzz.Seeds;
using Colo.Fuzz.Targets;

// The map: parse the words, then one of four things.
FuzzOptions? options = FuzzOptions.Parse(args, out string error);
if (options is null)
{
    await Console.Error.WriteLineAsync(error);
    await Console.Error.WriteLineAsync(FuzzOptions.Usage);
    return FuzzOptions.ExitUsage;
}

if (options.MakeCorpus is { } folder)
{
    return await SeedMaker.RunAsync(folder);
}

IReadOnlyList<string> names = options.Target == FuzzOptions.AllTargets ? FuzzTargets.Names : [options.Target];
if (options.Afl)
{
    // Made by the first input: before it there is no map that instrumented code could note its steps in.
    IFuzzTarget? target = null;
    SharpFuzz.Fuzzer.OutOfProcess.Run(stream =>
    {
        target ??= FuzzTargets.Create(names[0], options.Corpus);
        using MemoryStream input = new();
        stream.CopyTo(input);
        target.Run(input.ToArray());
    });
    target?.Dispose();
    return 0;
}

return new FuzzRun(options, names).Execute();
