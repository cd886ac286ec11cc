namespace Colo.Api.Yaml;

/// <summary>The spec's fields, one by one, then the rules that span them.</summary>
internal sealed class SpecReader
{
    private readonly MappingReader spec;
    private readonly Dictionary<string, MappingReader> sections = new(StringComparer.Ordinal);

    public SpecReader(MappingReader spec) => this.spec = spec;

    /// <param name="errors">Grows by what is wrong.</param>
    /// <param name="errorsBefore">Rules are judged only where the shape is right: a default put in for a wrong value would mislead.</param>
    public ReplicatedVolumeSpec Read(List<ManifestError> errors, int errorsBefore)
    {
        if (!spec.Has("size"))
        {
            spec.RequiredText("size");
        }

        ReplicatedVolumeSpec read = new()
        {
            Size = spec.Quantity("size", default),
            Mode = spec.Choice("mode", VolumeMode.HighAvailability),
            StoragePool = spec.Text("storagePool", "default"),
            Placement = ReadPlacement(Section("placement")),
            Buffer = ReadBuffer(Section("buffer")),
            Checkpoint = ReadCheckpoint(Section("checkpoint")),
            Failover = ReadFailover(Section("failover")),
            Resync = ReadResync(Section("resync")),
            Source = ReadSource(Section("source")),
        };
        spec.RefuseTheRest();
        if (errors.Count == errorsBefore)
        {
            foreach (VolumeRule rule in VolumeRules.All)
            {
                if (!rule.Holds(read))
                {
                    FaultAt(rule);
                }
            }
        }

        return read;
    }

    private static PlacementSpec ReadPlacement(MappingReader at)
    {
        PlacementSpec defaults = new();
        PlacementSpec read = new()
        {
            TopologyKey = at.Text("topologyKey", defaults.TopologyKey),
            NodeSelector = at.TextMap("nodeSelector"),
            PrimaryNode = at.Text("primaryNode", ""),
            SecondaryNode = at.Text("secondaryNode", ""),
        };
        at.RefuseTheRest();
        return read;
    }

    private static BufferSpec ReadBuffer(MappingReader at)
    {
        BufferSpec defaults = new();
        BufferSpec read = new()
        {
            Medium = at.Choice("medium", defaults.Medium),
            SizeLimit = at.Quantity("sizeLimit", defaults.SizeLimit),
            OnFull = at.Choice("onFull", defaults.OnFull),
        };
        at.RefuseTheRest();
        return read;
    }

    private static CheckpointSpec ReadCheckpoint(MappingReader at)
    {
        CheckpointSpec defaults = new();
        CheckpointSpec read = new()
        {
            Interval = at.Time("interval", defaults.Interval),
            Quiesce = at.Choice("quiesce", defaults.Quiesce),
        };
        at.RefuseTheRest();
        return read;
    }

    private static FailoverSpec ReadFailover(MappingReader at)
    {
        FailoverSpec defaults = new();
        FailoverSpec read = new()
        {
            Policy = at.Choice("policy", defaults.Policy),
            RecoveryPoint = at.OptionalChoice<RecoveryPoint>("recoveryPoint"),
            HeartbeatTimeout = at.Time("heartbeatTimeout", defaults.HeartbeatTimeout),
        };
        at.RefuseTheRest();
        return read;
    }

    private static ResyncSpec ReadResync(MappingReader at)
    {
        ResyncSpec read = new() { MaxBytesPerSecond = at.Integer("maxBytesPerSecond", 0) };
        at.RefuseTheRest();
        return read;
    }

    private static SourceSpec ReadSource(MappingReader at)
    {
        SourceSpec read = new() { Url = at.OptionalText("url"), Nbd = at.OptionalText("nbd"), Pvc = at.OptionalText("pvc") };
        at.RefuseTheRest();
        return read;
    }

    private MappingReader Section(string name) => sections[name] = spec.Mapping(name);

    private void FaultAt(VolumeRule rule)
    {
        int dot = rule.Path.IndexOf('.', StringComparison.Ordinal);
        MappingReader owner = dot < 0 ? spec : sections[rule.Path[..dot]];
        owner.FaultAt(rule.Path[(dot + 1)..], rule.Message);
    }
}
