using System.Text.Json;
using Colo.Blocks;

namespace Colo.Conformance.Tests.Qcow2;

/// <summary>What `qemu-img map --output=json` says of each byte: in which layer of the chain (0: the top), and whether it is zero.</summary>
internal sealed class QemuMap
{
    private readonly List<(long Start, long End, int Depth, bool IsZero, bool IsData)> runs = [];

    public static QemuMap Parse(string json)
    {
        QemuMap map = new();
        using JsonDocument document = JsonDocument.Parse(json);
        foreach (JsonElement run in document.RootElement.EnumerateArray())
        {
            long start = run.GetProperty("start").GetInt64();
            map.runs.Add((start, start + run.GetProperty("length").GetInt64(), run.GetProperty("depth").GetInt32(),
                run.GetProperty("zero").GetBoolean(), run.GetProperty("data").GetBoolean()));
        }

        return map;
    }

    public void ShouldAgree(BlockExtent extent)
    {
        foreach ((long start, long end, int depth, bool isZero, bool isData) in runs)
        {
            if (start >= extent.Range.End || end <= extent.Range.Offset)
            {
                continue;
            }

            bool isHole = (extent.Kind & ExtentKind.Hole) != 0;
            isHole.ShouldBe(depth > 0, $"{extent} against [{start}, {end}) of depth {depth}");
            if (!isHole)
            {
                isData.ShouldBe(extent.Kind == ExtentKind.Data, $"{extent} against [{start}, {end})");
                isZero.ShouldBe(extent.Kind == ExtentKind.Zero, $"{extent} against [{start}, {end})");
            }
        }
    }
}
