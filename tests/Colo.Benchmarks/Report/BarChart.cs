using System.Globalization;
using System.Net;
using System.Text;

namespace Colo.Benchmarks.Report;

/// <summary>One bar: whose it is, how long, and what is written behind it.</summary>
internal sealed record Bar(string Series, double Value, string Text);

/// <summary>Bars that are compared with each other: the longest of them fills the width.</summary>
internal sealed record BarGroup(string Label, IReadOnlyList<Bar> Bars);

/// <summary>Groups under one title. With a common scale bars compare across groups too.</summary>
internal sealed record BarPanel(string Title, string Note, IReadOnlyList<BarGroup> Groups, bool CommonScale = false);

/// <summary>A picture of horizontal bars, as SVG, readable on light and dark ground.</summary>
internal static class BarChart
{
    private const int LabelWidth = 170;
    private const int BarWidth = 420;
    private const int Width = LabelWidth + BarWidth + 330;
    private const int BarHeight = 14;
    private const int Gap = 10;
    private const int TitleHeight = 46;

    /// <summary>Ours first and in a colour of its own; the peers in greys and blues.</summary>
    private static readonly Dictionary<string, string> Colours = new(StringComparer.Ordinal)
    {
        ["colo"] = "#2f9e44",
        ["qemu"] = "#4c6ef5",
        ["qemu-nbd"] = "#748ffc",
        ["nbdkit"] = "#868e96",
    };

    public static string Draw(string title, string subtitle, IReadOnlyList<BarPanel> panels)
    {
        StringBuilder body = new();
        int y = 30;
        Text(body, 12, y, title, "font-size='18' font-weight='bold'");
        Text(body, 12, y += 20, subtitle, "fill='#868e96'");
        y += 10;
        foreach (BarPanel panel in panels)
        {
            y = DrawPanel(body, panel, y);
        }

        return string.Create(
            CultureInfo.InvariantCulture,
            $"<svg xmlns='http://www.w3.org/2000/svg' width='{Width}' height='{y + Gap}' font-family='sans-serif' font-size='12'>\n"
            + $"<rect width='100%' height='100%' fill='#ffffff'/>\n{body}</svg>\n");
    }

    private static int DrawPanel(StringBuilder body, BarPanel panel, int top)
    {
        Text(body, 12, top + 22, panel.Title, "font-size='14' font-weight='bold'");
        Text(body, 12, top + 38, panel.Note, "fill='#868e96' font-size='11'");
        int y = top + TitleHeight;
        double common = panel.Groups.SelectMany(group => group.Bars).Max(bar => bar.Value);
        foreach (BarGroup group in panel.Groups)
        {
            double scale = panel.CommonScale ? common : group.Bars.Max(bar => bar.Value);
            Text(body, 12, y + BarHeight - 2, group.Label, "");
            foreach (Bar bar in group.Bars)
            {
                double width = scale > 0 ? Math.Max(1, bar.Value / scale * BarWidth) : 1;
                string colour = Colours.GetValueOrDefault(bar.Series, "#adb5bd");
                body.Append(CultureInfo.InvariantCulture, $"<rect x='{LabelWidth}' y='{y}' width='{width:F1}' height='{BarHeight - 2}' fill='{colour}'/>\n");
                Text(body, (int)(LabelWidth + width + 6), y + BarHeight - 4, $"{bar.Series}: {bar.Text}", "font-size='11'");
                y += BarHeight;
            }

            y += Gap;
        }

        return y;
    }

    private static void Text(StringBuilder body, int x, int y, string text, string attributes) =>
        body.Append(CultureInfo.InvariantCulture, $"<text x='{x}' y='{y}' {attributes}>{WebUtility.HtmlEncode(text)}</text>\n");
}
