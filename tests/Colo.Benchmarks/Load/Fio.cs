using System.Globalization;
using System.Text.Json;
using Colo.Benchmarks.Stacks;
using Colo.Testing;

namespace Colo.Benchmarks.Load;

/// <summary>
/// Runs fio's NBD engine against a stack, and measures what the stack's processes used meanwhile. No ramp time: fio leaves the
/// ramp out of its counts but the servers' CPU clock does not, and CPU per request would come out too high.
/// </summary>
internal static class Fio
{
    public static async Task<LoadResult> RunAsync(IStack stack, FioJob job, FioExtent extent)
    {
        string output = Path.GetTempFileName();
        try
        {
            ServerUsage before = ServerUsage.Of(stack.ServerPids);
            ToolResult run = await Tool.RunAsync("fio", Arguments(stack.Target, job, extent, output));
            ServerUsage after = ServerUsage.Of(stack.ServerPids);
            run.EnsureSuccess();
            return Parse(await File.ReadAllTextAsync(output), before, after, $"{job.Name} on {stack.Name}: {run.Output} {run.Error}");
        }
        finally
        {
            File.Delete(output);
        }
    }

    private static List<string> Arguments(NbdTarget target, FioJob job, FioExtent extent, string output)
    {
        List<string> arguments =
        [
            "--name=load", "--ioengine=nbd", $"--uri={target.Uri}", $"--rw={job.ReadWrite}",
            Number("bs", job.BlockBytes), Number("iodepth", job.Depth), Number("size", extent.SpanBytes),
            "--output-format=json", $"--output={output}",
        ];
        if (job.ReadWrite == "randrw")
        {
            arguments.Add("--rwmixread=70");
        }

        if (extent.IoBytes is { } bytes)
        {
            arguments.Add(Number("io_size", bytes));
        }

        if (extent.Seconds is { } seconds)
        {
            arguments.AddRange(["--time_based", Number("runtime", seconds)]);
        }
        else
        {
            arguments.Add(Number("runtime", FioExtent.BoundSeconds));
        }

        return arguments;
    }

    private static string Number(string key, long value) => string.Create(CultureInfo.InvariantCulture, $"--{key}={value}");

    private static LoadResult Parse(string json, ServerUsage before, ServerUsage after, string what)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement job = document.RootElement.GetProperty("jobs")[0];
        if (job.GetProperty("error").GetInt32() != 0)
        {
            throw new InvalidOperationException("fio reports an error: " + what);
        }

        double iops = 0, bandwidth = 0, median = 0, p99 = 0, max = 0;
        long requests = 0;
        foreach (string direction in (string[])["read", "write"])
        {
            JsonElement side = job.GetProperty(direction);
            long count = side.GetProperty("total_ios").GetInt64();
            if (count == 0)
            {
                continue;
            }

            JsonElement latency = side.GetProperty("clat_ns");
            requests += count;
            iops += side.GetProperty("iops").GetDouble();
            bandwidth += side.GetProperty("bw_bytes").GetDouble() / (1 << 20);
            median = Math.Max(median, latency.GetProperty("percentile").GetProperty("50.000000").GetDouble() / 1000);
            p99 = Math.Max(p99, latency.GetProperty("percentile").GetProperty("99.000000").GetDouble() / 1000);
            max = Math.Max(max, latency.GetProperty("max").GetDouble() / 1000);
        }

        if (requests == 0)
        {
            throw new InvalidOperationException("fio did nothing: " + what);
        }

        double cpu = (after.CpuSeconds - before.CpuSeconds) * 1e6 / requests;
        return new LoadResult(iops, bandwidth, median, p99, max, requests, cpu, after.FileBytes - before.FileBytes);
    }
}
