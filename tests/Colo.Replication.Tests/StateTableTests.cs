using System.Runtime.CompilerServices;

namespace Colo.Replication.Tests;

public sealed class StateTableTests
{
    [Fact]
    public void The_table_of_the_README_is_the_table_of_the_code()
    {
        string[] lines = File.ReadAllLines(Path.Combine(Folder(), "../../src/Colo.Replication/README.md"));
        ReplicationEvent[] events = Enum.GetValues<ReplicationEvent>();
        int header = Array.FindIndex(lines, line => line.StartsWith("| state", StringComparison.Ordinal));
        Cells(lines[header])[1..].ShouldBe(events.Select(e => e.ToString()));
        ReplicationState[] states = Enum.GetValues<ReplicationState>();
        for (int row = 0; row < states.Length; row++)
        {
            string[] cells = Cells(lines[header + 2 + row]);
            cells[0].ShouldBe(states[row].ToString());
            for (int column = 0; column < events.Length; column++)
            {
                cells[column + 1].ShouldBe(After(states[row], events[column]), $"{states[row]}, {events[column]}");
            }
        }
    }

    private static string After(ReplicationState state, ReplicationEvent what)
    {
        try
        {
            ReplicationState next = ReplicationTransitions.Next(state, what);
            return next == state ? "." : next.ToString();
        }
        catch (ReplicationException)
        {
            return "refused";
        }
    }

    private static string[] Cells(string line) => [.. line.Trim('|', ' ').Split('|').Select(cell => cell.Trim())];

    private static string Folder([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
