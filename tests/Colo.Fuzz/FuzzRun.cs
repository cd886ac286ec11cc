using System.Diagnostics;
using Colo.Fuzz.Targets;

namespace Colo.Fuzz;

/// <summary>
/// A bounded run: each execution's input follows from (seed, target, execution number) alone, so that any failure can be had again. A
/// crash, a hang, an input that makes a target allocate without measure, or memory that keeps growing ends it.
/// </summary>
internal sealed class FuzzRun(FuzzOptions options, IReadOnlyList<string> targetNames)
{
    /// <summary>What one input may make us allocate: two payloads of 32 MiB, tables, and what the driver itself needs.</summary>
    private const long MaxAllocatedPerInput = 256L << 20;

    /// <summary>What may stay after many inputs: pools and buffers that warm up.</summary>
    private const long MaxHeapGrowth = 128L << 20;

    private const int HeapCheckEvery = 2_000;

    private string current = string.Empty;
    private byte[] currentInput = [];

    public int Execute()
    {
        // A fault on a thread of the code under test ends the process: say which input it was first.
        AppDomain.CurrentDomain.UnhandledException += (_, e) => Report("crash on a thread of its own", e.ExceptionObject.ToString()!);
        Console.WriteLine($"seed {options.Seed}");
        TimeSpan share = options.Duration / targetNames.Count;
        foreach (string name in targetNames)
        {
            using IFuzzTarget target = FuzzTargets.Create(name, options.Corpus);
            int exit = Run(target, share);
            if (exit != 0)
            {
                return exit;
            }
        }

        return 0;
    }

    private int Run(IFuzzTarget target, TimeSpan share)
    {
        if (options.Replay is { } file)
        {
            return RunOne(target, File.ReadAllBytes(file), $"replay of {file}");
        }

        Corpus corpus = Corpus.Load(options.Corpus, target.Name);
        Mutator mutator = new(corpus, target.Name, options.Seed);
        long start = Stopwatch.GetTimestamp();
        long baseline = 0;
        long execution = options.Only ?? 0;
        do
        {
            byte[] input = mutator.Make(execution);
            if (options.Only is not null)
            {
                Console.WriteLine($"input {Convert.ToHexStringLower(Corpus.Hash(input))}, {input.Length} bytes");
            }

            int exit = RunOne(target, input, $"--target {target.Name} --seed {options.Seed} --only {execution}");
            execution++;
            if (exit == 0 && execution % HeapCheckEvery == 0)
            {
                exit = CheckHeap(target, ref baseline);
            }

            if (exit != 0 || options.Only is not null)
            {
                return exit;
            }
        }
        while (Stopwatch.GetElapsedTime(start) < share);

        TimeSpan took = Stopwatch.GetElapsedTime(start);
        Console.WriteLine(
            $"{target.Name}: {execution} executions in {took.TotalSeconds:F1} s ({execution / took.TotalSeconds:F0}/s), "
            + $"{corpus.Seeds.Count} seeds, heap {GC.GetTotalMemory(forceFullCollection: false) >> 20} MiB; {target.Summary}");
        return 0;
    }

    private int RunOne(IFuzzTarget target, byte[] input, string name)
    {
        (current, currentInput) = (name, input);
        long allocated = GC.GetTotalAllocatedBytes();
        Task run = Task.Run(() => target.Run(input));
        try
        {
            if (!run.Wait(options.HangAfter))
            {
                // The target's threads are stuck with it: nothing here could be closed in order.
                Report("hang", $"no end after {options.HangAfter}");
                Environment.Exit(FuzzOptions.ExitHang);
            }
        }
        catch (AggregateException e)
        {
            Report("crash", e.InnerException!.ToString());
            return FuzzOptions.ExitFailed;
        }

        allocated = GC.GetTotalAllocatedBytes() - allocated;
        if (allocated > MaxAllocatedPerInput)
        {
            Report("memory", $"one input of {input.Length} bytes made it allocate {allocated >> 20} MiB");
            return FuzzOptions.ExitFailed;
        }

        return 0;
    }

    private int CheckHeap(IFuzzTarget target, ref long baseline)
    {
        GC.Collect();
        long heap = GC.GetTotalMemory(forceFullCollection: true);
        baseline = baseline == 0 ? heap : baseline;
        if (heap - baseline <= MaxHeapGrowth)
        {
            return 0;
        }

        Report("memory", $"{target.Name} holds {heap >> 20} MiB, {baseline >> 20} MiB after its first {HeapCheckEvery} inputs");
        return FuzzOptions.ExitFailed;
    }

    private void Report(string what, string details)
    {
        string path = Path.Combine(options.Out, $"fuzz-{what.Split(' ')[0]}-{Convert.ToHexStringLower(Corpus.Hash(currentInput))}.bin");
        File.WriteAllBytes(path, currentInput);
        Console.WriteLine($"FAILED ({what}): colo-fuzz {current}");
        Console.WriteLine($"input of {currentInput.Length} bytes saved: {path}");
        Console.WriteLine(details);
    }
}
