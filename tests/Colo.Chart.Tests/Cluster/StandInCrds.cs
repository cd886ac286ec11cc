namespace Colo.Chart.Tests.Cluster;

/// <summary>Kinds of other projects that the chart can make objects of; schemas that hold anything, since theirs are not ours to test.</summary>
internal static class StandInCrds
{
    public static string Yaml { get; } = string.Join("\n---\n", new[]
    {
        Crd("monitoring.coreos.com", "PodMonitor"), Crd("monitoring.coreos.com", "PrometheusRule"),
        Crd("cert-manager.io", "Issuer"), Crd("cert-manager.io", "Certificate"),
    });

    private static string Crd(string group, string kind)
    {
        string singular = kind.ToLowerInvariant();
        return
            $$"""
            apiVersion: apiextensions.k8s.io/v1
            kind: CustomResourceDefinition
            metadata: {name: {{singular}}s.{{group}}}
            spec:
              group: {{group}}
              scope: Namespaced
              names: {kind: {{kind}}, plural: {{singular}}s, singular: {{singular}}}
              versions:
                - name: v1
                  served: true
                  storage: true
                  schema:
                    openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
            """;
    }
}
