using System.Globalization;
using Colo.Testing;

namespace Colo.Cluster.Lab;

/// <summary>One machine of the cluster, and what may befall it; each call returns when it has happened.</summary>
internal sealed record Node(string Name)
{
    private string PidFile => Path.Combine(Site.State, "pids", Name);

    /// <summary>As tests/cluster/lib.sh gives it.</summary>
    public string Address => "10.88.0.1" + Name["node".Length..];

    public bool IsRunning => File.Exists(PidFile);

    /// <summary>Loses its power: nothing is closed or flushed in order, its links fall silent.</summary>
    public Task KillAsync() => Site.ScriptAsync("node.sh", "kill", Name);

    /// <summary>From the same disk.</summary>
    public Task BootAsync() => Site.ScriptAsync("node.sh", "boot", Name);

    /// <summary>Its network cable is pulled; its processes go on.</summary>
    public Task CutAsync() => Site.ScriptAsync("node.sh", "cut", Name);

    /// <summary>Undoes <see cref="CutAsync"/>.</summary>
    public Task HealAsync() => Site.ScriptAsync("node.sh", "heal", Name);

    /// <summary>Drops every packet between this node and that one, both ways; both reach everybody else.</summary>
    public Task CutFromAsync(Node other) => FilterAsync("-A", other);

    public Task HealFromAsync(Node other) => FilterAsync("-D", other);

    /// <summary>Sends a signal to the node's processes whose command line holds the word.</summary>
    /// <exception cref="InvalidOperationException">there is no such process.</exception>
    public async Task SignalAsync(string signal, string word)
    {
        string[] pids = (await Site.ScriptAsync("node.sh", "pids", Name, word)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        pids.ShouldNotBeEmpty($"{Name} runs no {word}");
        (await Tool.RunAsync("/bin/kill", [$"-{signal}", .. pids])).EnsureSuccess();
    }

    /// <summary>A file of the node, as this program opens it. Another path after each boot.</summary>
    /// <exception cref="FileNotFoundException">the node is off.</exception>
    public string PathOf(string path)
    {
        int pid = int.Parse(File.ReadAllText(PidFile).Split(' ')[0], CultureInfo.InvariantCulture);
        return $"/proc/{pid}/root{path}";
    }

    /// <summary>A file on the node's disk, whether it is on or not.</summary>
    public string OnDisk(string path) => Path.Combine(Site.State, "nodes", Name, "disk") + path;

    private async Task FilterAsync(string verb, Node other)
    {
        foreach (string[] direction in new[] { new[] { "INPUT", "-s" }, ["OUTPUT", "-d"] })
        {
            await Site.ScriptAsync("node.sh", "sh", Name, "iptables", "-w", verb, direction[0], direction[1], other.Address, "-j", "DROP");
        }
    }
}
