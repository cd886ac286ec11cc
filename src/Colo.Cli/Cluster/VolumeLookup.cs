namespace Colo.Cli.Cluster;

/// <summary>Finds the one volume that a person means, or says which there are.</summary>
internal static class VolumeLookup
{
    /// <summary>More names than fit on a screen help nobody.</summary>
    private const int NamesShown = 20;

    /// <exception cref="CommandException">there is none, or there are several.</exception>
    public static async Task<ClusterVolume> FindAsync(VolumeClient client, string name, bool allNamespaces, CancellationToken token)
    {
        if (name.Length == 0 || name.Contains('/', StringComparison.Ordinal))
        {
            throw new CommandException(ExitCode.Usage, $"'{name}' is no name of a volume");
        }

        if (allNamespaces)
        {
            IReadOnlyList<ClusterVolume> all = await client.ListAsync(null, token);
            ClusterVolume[] same = [.. all.Where(v => v.Name == name)];
            return same.Length switch
            {
                1 => same[0],
                0 => throw new CommandException(ExitCode.Usage, $"no volume '{name}' in any namespace; {TheseExist(all, v => $"{v.Namespace}/{v.Name}")}"),
                _ => throw new CommandException(ExitCode.Usage,
                    $"there are volumes named '{name}' in the namespaces {string.Join(", ", same.Select(v => v.Namespace))}: choose one with -n"),
            };
        }

        return await client.FindAsync(client.Cluster.Namespace, name, token) ?? throw await MissingAsync(client, name, token);
    }

    /// <summary>Tells of the ones there are, as far as this person may see them.</summary>
    public static async Task<CommandException> MissingAsync(VolumeClient client, string name, CancellationToken token)
    {
        string @namespace = client.Cluster.Namespace;
        string missing = $"no volume '{name}' in namespace '{@namespace}'";
        try
        {
            IReadOnlyList<ClusterVolume> all = await client.ListAsync(null, token);
            ClusterVolume[] elsewhere = [.. all.Where(v => v.Name == name)];
            return new CommandException(ExitCode.Usage, elsewhere.Length switch
            {
                0 => $"{missing}; {TheseExist([.. all.Where(v => v.Namespace == @namespace)], v => v.Name)}",
                1 => $"{missing}; there is one in namespace {elsewhere[0].Namespace} (-n {elsewhere[0].Namespace})",
                _ => $"{missing}; there are such in the namespaces {string.Join(", ", elsewhere.Select(v => v.Namespace))}: choose one with -n",
            });
        }
        catch (CommandException e)
        {
            if (e.Code == ExitCode.NotRunning)
            {
                return e;
            }

            // Who may not see all namespaces may see this one.
        }

        try
        {
            return new CommandException(ExitCode.Usage, $"{missing}; {TheseExist(await client.ListAsync(@namespace, token), v => v.Name)}");
        }
        catch (CommandException)
        {
            return new CommandException(ExitCode.Usage, missing);
        }
    }

    private static string TheseExist(IReadOnlyList<ClusterVolume> volumes, Func<ClusterVolume, string> shown) => volumes.Count switch
    {
        0 => "there are none",
        <= NamesShown => $"there are: {string.Join(", ", volumes.Select(shown))}",
        _ => $"there are {volumes.Count}, among them {string.Join(", ", volumes.Take(NamesShown).Select(shown))}",
    };
}
