using System.Text.Json;
using System.Text.Json.Nodes;
using Colo.Testing;
using Colo.Testing.Kube;

namespace Colo.Kubernetes.Tests.Kit;

/// <summary>A custom resource with a status subresource, as small as one can be.</summary>
internal sealed record Widget
{
    public WidgetStatus? Status { get; init; }
}

internal sealed record WidgetStatus
{
    public string Phase { get; init; } = "";

    public string? Note { get; init; }

    public long? Term { get; init; }

    public WidgetDisk? Disk { get; init; }

    public IReadOnlyList<WidgetCondition> Conditions { get; init; } = [];

    public long? ObservedGeneration { get; init; }
}

internal sealed record WidgetDisk(long? Size, string? Node);

internal sealed record WidgetCondition(string Type, string Status, string? LastTransitionTime = null);

internal static class Widgets
{
    public static ResourceType<Widget> Type { get; } =
        new("test.colo.dev", "v1", "widgets", new JsonSerializerOptions(JsonSerializerDefaults.Web)) { Kind = "Widget" };

    private static readonly JsonObject Definition = JsonNode.Parse(
        """
        {
          "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
          "metadata": { "name": "widgets.test.colo.dev" },
          "spec": {
            "group": "test.colo.dev", "scope": "Namespaced",
            "names": { "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList" },
            "versions": [{
              "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
              "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } }
            }]
          }
        }
        """)!.AsObject();

    /// <summary>Makes the type where it is not there yet, and one object of it.</summary>
    public static async Task<Resource<Widget>> CreateAsync(KubeApiServerFixture kube, k8s.Kubernetes client, params string[] finalizers)
    {
        try
        {
            await new ResourceClient<JsonObject>(client, new("apiextensions.k8s.io", "v1", "customresourcedefinitions"))
                .CreateAsync(null, Definition, default);
        }
        catch (ApiException e) when (e.Kind == ApiErrorKind.AlreadyExists)
        {
            // By another test.
        }

        string ns = await kube.NewNamespaceAsync();
        ResourceClient<Widget> widgets = new(client, Type);
        Resource<Widget>? widget = null;
        await Eventually.TrueAsync(async () => (widget = await TryCreateAsync(widgets, ns, finalizers)) is not null, "widgets are served");
        return widget!;
    }

    private static async Task<Resource<Widget>?> TryCreateAsync(ResourceClient<Widget> widgets, string ns, string[] finalizers)
    {
        JsonObject metadata = new() { ["name"] = "one" };
        if (finalizers.Length > 0)
        {
            metadata["finalizers"] = new JsonArray([.. finalizers.Select(f => (JsonNode?)f)]);
        }

        JsonObject document = new()
        {
            ["apiVersion"] = Type.ApiVersion,
            ["kind"] = Type.Kind,
            ["metadata"] = metadata,
            ["spec"] = new JsonObject { ["size"] = 1 },
        };
        try
        {
            return await widgets.CreateAsync(ns, document, default);
        }
        catch (ApiException e) when (e.Kind == ApiErrorKind.NotFound)
        {
            return null;
        }
    }
}
