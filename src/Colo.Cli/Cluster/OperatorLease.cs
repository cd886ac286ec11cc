using System.Diagnostics;
using System.Globalization;
using Colo.Kubernetes;
using k8s.Models;

namespace Colo.Cli.Cluster;

/// <summary>
/// Tells whether an operator runs: its leader Lease was renewed between two looks. By our own clock: the times in the Lease are
/// another machine's.
/// </summary>
internal sealed class OperatorLease
{
    /// <summary>In the operator's own namespace, which we do not know.</summary>
    public const string Name = "colo-operator";

    private readonly ClusterConnection cluster;
    private readonly long firstAt = Stopwatch.GetTimestamp();
    private readonly IReadOnlyList<V1Lease>? first;

    private OperatorLease(ClusterConnection cluster, IReadOnlyList<V1Lease>? first)
    {
        this.cluster = cluster;
        this.first = first;
    }

    /// <summary>The first look.</summary>
    public static async Task<OperatorLease> LookAsync(ClusterConnection cluster, CancellationToken token) =>
        new(cluster, await ReadAsync(cluster, token));

    /// <summary>The second look.</summary>
    /// <returns>Whether one runs (null: it cannot be told), and a sentence on it.</returns>
    public async Task<(bool? Runs, string Sentence)> JudgeAsync(CancellationToken token)
    {
        IReadOnlyList<V1Lease>? now = await ReadAsync(cluster, token);
        return Judge(first, now, Stopwatch.GetElapsedTime(firstAt));
    }

    /// <param name="before">Null: they could not be read.</param>
    /// <param name="now">Likewise.</param>
    internal static (bool? Runs, string Sentence) Judge(IReadOnlyList<V1Lease>? before, IReadOnlyList<V1Lease>? now, TimeSpan between)
    {
        if (before is null || now is null)
        {
            return (null, "whether an operator runs cannot be told: no access to Leases");
        }

        if (now.Count == 0)
        {
            return (false, $"no operator runs in this cluster (there is no Lease {Name}), or one without leader election");
        }

        V1Lease? renewed = now.FirstOrDefault(l => before.All(b => b.Metadata.Uid != l.Metadata.Uid || b.Metadata.ResourceVersion != l.Metadata.ResourceVersion) && Held(l));
        if (renewed is not null)
        {
            return (true, $"the operator runs ({renewed.Spec.HolderIdentity} renews the Lease {Full(renewed)})");
        }

        V1Lease? held = now.FirstOrDefault(Held);
        if (held is null)
        {
            return (false, $"no operator runs: nobody holds the Lease {Full(now[0])}");
        }

        string since = between.TotalSeconds.ToString("0", CultureInfo.InvariantCulture);
        return between.TotalSeconds > (held.Spec.LeaseDurationSeconds ?? 0)
            ? (false, $"no operator runs: {held.Spec.HolderIdentity} has not renewed the Lease {Full(held)} for the {since} s that were waited")
            : (null, $"whether the operator runs cannot be told: its Lease {Full(held)} was watched for {since} s only");
    }

    private static async Task<IReadOnlyList<V1Lease>?> ReadAsync(ClusterConnection cluster, CancellationToken token)
    {
        try
        {
            ResourceClient<V1Lease> leases = new(cluster.Client, ResourceTypes.Leases) { RequestTimeout = cluster.Timeout };
            return [.. (await leases.ListAsync(new ListOptions { FieldSelector = $"metadata.name={Name}" }, token)).Items.Select(r => r.Value)];
        }
        catch (ApiException)
        {
            return null;
        }
    }

    private static bool Held(V1Lease lease) => !string.IsNullOrEmpty(lease.Spec?.HolderIdentity);

    private static string Full(V1Lease lease) => $"{lease.Metadata.NamespaceProperty}/{lease.Metadata.Name}";
}
