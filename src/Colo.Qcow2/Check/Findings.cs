namespace Colo.Qcow2.Check;

/// <summary>Counts what a check finds, and keeps the first messages.</summary>
internal sealed class Findings
{
    private const int MaximumMessages = 100;
    private readonly List<string> messages = [];

    public int Corruptions { get; private set; }

    public int Leaks { get; private set; }

    public int LeaksRepaired { get; set; }

    public IReadOnlyList<string> Messages => messages;

    public void Corrupt(string message)
    {
        Corruptions++;
        Note(message);
    }

    public void Leak(string message)
    {
        Leaks++;
        Note(message);
    }

    private void Note(string message)
    {
        if (messages.Count < MaximumMessages)
        {
            messages.Add(message);
        }
    }
}
