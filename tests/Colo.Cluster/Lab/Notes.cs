using System.Globalization;

namespace Colo.Cluster.Lab;

/// <summary>What a scenario measured, for the table at the end: one line each in a file of its own.</summary>
internal static class Notes
{
    public static string Scenario => TestContext.Current.TestMethod?.MethodName ?? "outside";

    public static void Add(string note)
    {
        Directory.CreateDirectory(Path.Combine(Site.Results, "notes"));
        File.AppendAllText(Path.Combine(Site.Results, "notes", Scenario), note + "\n");
        TestContext.Current.TestOutputHelper?.WriteLine($"{DateTime.UtcNow:HH:mm:ss.fff} {note}");
    }

    public static void Add(string what, TimeSpan time) =>
        Add(string.Create(CultureInfo.InvariantCulture, $"{what} {time.TotalSeconds:0.00} s"));
}
