using System.Text;
using System.Text.Json;
using Colo.Api;
using Colo.Control;

namespace Colo.Cli.Local;

/// <summary>One agent of this installation; its ports stay the same over restarts, because peers were told them.</summary>
public sealed record LocalAgent(string Node, int ReplicationPort, int MetricsPort);

/// <summary>One volume: the manifest, its UID, and what a person asked for that is not finished.</summary>
public sealed record LocalVolume(string Uid, ReplicatedVolume Manifest, VolumeIntent Intent)
{
    public string Name => Manifest.Metadata.Name;
}

/// <summary>What must survive the control loop, and a power cut. Written whole, by rename of what is on disk already.</summary>
public sealed record LocalState(IReadOnlyList<LocalAgent> Agents, IReadOnlyList<LocalVolume> Volumes, bool RestartAgents)
{
    public IEnumerable<string> Nodes => Agents.Select(a => a.Node);

    public IEnumerable<string> Pools => Volumes.Select(v => v.Manifest.Spec.StoragePool).Append("default").Distinct(StringComparer.Ordinal);

    /// <returns>Null where nothing is installed there.</returns>
    /// <exception cref="CommandException">the file is there and cannot be used.</exception>
    public static LocalState? Load(LocalLayout layout)
    {
        try
        {
            return VolumeDocument.FromJson<LocalState>(File.ReadAllText(layout.State));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCode.Failed, $"{layout.State}: {e.Message}");
        }
    }

    /// <exception cref="CommandException">nothing is installed there.</exception>
    public static LocalState LoadRequired(LocalLayout layout) =>
        Load(layout) ?? throw new CommandException(ExitCode.NotRunning, $"nothing is set up in {layout.Root}; `coloctl local up -f volume.yaml` does that");

    public void Save(LocalLayout layout)
    {
        string temporary = layout.State + ".new";
        using FileStream file = new(temporary, FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        file.Write(Encoding.UTF8.GetBytes(VolumeDocument.ToJson(this) + "\n"));
        file.Flush(flushToDisk: true);
        File.Move(temporary, layout.State, overwrite: true);

        // As with a record: the rename changed this inode too, and goes to disk with it.
        file.Flush(flushToDisk: true);
    }
}
