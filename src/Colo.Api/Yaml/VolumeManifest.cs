using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace Colo.Api.Yaml;

/// <summary>
/// Reads ReplicatedVolume manifests: one or several documents of a file, every field checked as the CRD will check it. All errors
/// of a file are reported together, each with its line.
/// </summary>
public static class VolumeManifest
{
    /// <exception cref="ManifestException">something in it is wrong.</exception>
    /// <exception cref="IOException">the file cannot be read.</exception>
    public static IReadOnlyList<ReplicatedVolume> ReadFile(string path) => Parse(File.ReadAllText(path), path);

    /// <param name="text">The YAML.</param>
    /// <param name="file">How errors name it.</param>
    /// <exception cref="ManifestException">something in it is wrong.</exception>
    public static IReadOnlyList<ReplicatedVolume> Parse(string text, string file = "manifest")
    {
        List<ManifestError> errors = [];
        List<ReplicatedVolume> volumes = [];
        foreach (YamlDocument document in Documents(text, file))
        {
            volumes.Add(ReadVolume(file, document.RootNode, errors));
        }

        if (volumes.Count == 0)
        {
            errors.Add(new(file, 1, 1, "", "no document in it; a ReplicatedVolume is expected"));
        }

        foreach (IGrouping<string, ReplicatedVolume> same in volumes.GroupBy(v => v.Metadata.Name, StringComparer.Ordinal).Where(g => g.Count() > 1))
        {
            errors.Add(new(file, 1, 1, "metadata.name", $"'{same.Key}' is used by {same.Count()} documents; names must differ"));
        }

        return errors.Count == 0 ? volumes : throw new ManifestException(errors);
    }

    private static IList<YamlDocument> Documents(string text, string file)
    {
        YamlStream stream = [];
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException e)
        {
            throw new ManifestException([new(file, e.Start.Line, e.Start.Column, "", "not YAML: " + e.Message)]);
        }

        return [.. stream.Documents.Where(d => d.RootNode is not YamlScalarNode { Value: null or "" })];
    }

    private static ReplicatedVolume ReadVolume(string file, YamlNode root, List<ManifestError> errors)
    {
        MappingReader document = new(file, "", root, errors);
        string apiVersion = document.RequiredText("apiVersion");
        string kind = document.RequiredText("kind");
        if (apiVersion is not ("" or ReplicatedVolume.GroupVersion))
        {
            document.FaultAt("apiVersion", $"'{apiVersion}' is not {ReplicatedVolume.GroupVersion}");
        }

        if (kind is not ("" or ReplicatedVolume.KindName))
        {
            document.FaultAt("kind", $"'{kind}' is not {ReplicatedVolume.KindName}");
        }

        ObjectMetadata metadata = ReadMetadata(document.Mapping("metadata"));
        if (!document.Has("spec"))
        {
            document.FaultAt("spec", "is required");
        }

        MappingReader spec = document.Mapping("spec");
        int before = errors.Count;
        ReplicatedVolumeSpec read = new SpecReader(spec).Read(errors, before);
        document.Ignore("status");
        document.RefuseTheRest();
        return new ReplicatedVolume { Metadata = metadata, Spec = read };
    }

    private static ObjectMetadata ReadMetadata(MappingReader metadata)
    {
        string name = metadata.RequiredText("name");
        if (name.Length > 0 && !VolumeRules.IsName(name))
        {
            metadata.FaultAt("name", $"'{name}' must be lower-case letters, digits and '-', 1 to 63 of them");
        }

        ObjectMetadata read = new()
        {
            Name = name,
            Namespace = metadata.Text("namespace", "default"),
            Labels = metadata.Has("labels") ? metadata.TextMap("labels") : null,
            Annotations = metadata.Has("annotations") ? metadata.TextMap("annotations") : null,
        };

        // What the API server adds, so that `kubectl get -o yaml` can be fed back.
        foreach (string served in (string[])["labels", "annotations", "uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp",
                     "deletionGracePeriodSeconds", "selfLink", "managedFields", "finalizers", "ownerReferences"])
        {
            metadata.Ignore(served);
        }

        metadata.RefuseTheRest();
        return read;
    }
}
