using System.Diagnostics;
using System.Globalization;
using Colo.Simulation;
using Colo.Simulation.Checks;
using Colo.Simulation.Mutants;

SimulationOptions? options = SimulationOptions.Parse(args, Console.Error);
if (options is null)
{
    return 64;
}

Coverage coverage = new();
TimeSpan simulated = TimeSpan.Zero;
Stopwatch watch = Stopwatch.StartNew();
long writes = 0;
int failed = 0;
int done = 0;
for (long seed = options.FirstSeed; seed < options.FirstSeed + options.Seeds; seed++)
{
    if (options.Limit is { } limit && watch.Elapsed > limit)
    {
        Console.WriteLine($"{limit.TotalSeconds:F0} s are over: {options.FirstSeed + options.Seeds - seed} seeds were not run");
        break;
    }

    RunResult result = await Run.OfAsync(seed, Mutant.Named(options.Mutant), options.Without, options.ShowsTrace ? Console.Out : null);
    done++;
    coverage.Add(result.Coverage);
    simulated += result.Simulated;
    writes += result.Writes;
    if (options.ShowsEach)
    {
        Console.WriteLine(FormattableString.Invariant(
            $"seed {seed}: {result.Hash} {result.Steps} steps, {result.Simulated.TotalSeconds:F0} s, {result.Writes} writes, {result.Faults.Count} faults{(result.Failure is null ? "" : ", FAILED")}"));
    }

    if (result.Failure is null)
    {
        continue;
    }

    failed++;
    await Report.FailureAsync(result, options);
    if (options.StopsAtFirst)
    {
        break;
    }
}

Report.Coverage(coverage, options);
Console.WriteLine(string.Create(
    CultureInfo.InvariantCulture,
    $"{done} seeds from {options.FirstSeed}: {simulated.TotalHours:F2} simulated hours, {writes} guest writes, {watch.Elapsed.TotalSeconds:F0} s; {failed} failed"));
return failed == 0 ? 0 : 1;
