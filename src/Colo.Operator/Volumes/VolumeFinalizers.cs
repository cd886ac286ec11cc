using System.Security.Cryptography;
using System.Text;

namespace Colo.Operator.Volumes;

/// <summary>
/// The names that hold a deleted volume until its replicas are gone: one of the operator, one for each node that was asked to make one.
/// Attached before the node is asked; nobody else's is ever touched.
/// </summary>
public static class VolumeFinalizers
{
    public const string Operator = "colo.dev/operator";
    public const string NodePrefix = "colo.dev/node.";

    /// <summary>Of the part behind the slash, as Kubernetes has it for qualified names.</summary>
    private const int LongestName = 63;
    private const int HashLength = 8;

    private static readonly int LongestNode = LongestName - "node.".Length;

    public static string OfNode(string node)
    {
        if (node.Length <= LongestNode)
        {
            return NodePrefix + node;
        }

        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(node)))[..HashLength];
        return $"{NodePrefix}{node[..(LongestNode - HashLength - 1)]}-{hash}";
    }

    public static bool IsOfNode(string finalizer) => finalizer.StartsWith(NodePrefix, StringComparison.Ordinal);

    public static bool IsOurs(string finalizer) => finalizer == Operator || IsOfNode(finalizer);

    /// <summary>
    /// The nodes that hold the object. A name that was too long is found among the <paramref name="known"/> nodes; one that is not is
    /// given as it stands, so that it is silent for ever and the grace period ends it.
    /// </summary>
    public static IReadOnlyList<string> NodesOf(IEnumerable<string>? finalizers, IEnumerable<string> known)
    {
        Dictionary<string, string> names = known.Distinct(StringComparer.Ordinal).ToDictionary(OfNode, n => n, StringComparer.Ordinal);
        return [.. (finalizers ?? []).Where(IsOfNode).Select(f => names.GetValueOrDefault(f) ?? f[NodePrefix.Length..])];
    }
}
