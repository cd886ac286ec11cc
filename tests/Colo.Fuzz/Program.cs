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
    using IFuzzTarget target = FuzzTargets.Create(names[0], options.Corpus);
    SharpFuzz.Fuzzer.OutOfProcess.Run(stream =>
    {
        using MemoryStream input = new();
        stream.CopyTo(input);
        target.Run(input.ToArray());
    });
    return 0;
}

return new FuzzRun(options, names).Execute();
