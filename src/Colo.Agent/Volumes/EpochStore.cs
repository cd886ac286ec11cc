using System.Globalization;
using Colo.Qcow2;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// The pairs of buffers as qcow2 files in one directory: hidden-N.qcow2 over the disk, active-N.qcow2 over hidden-N, so that any qemu-img
/// can read the last checkpoint; and a one-line file that says which pair counts. They outlive the process, not the machine: after
/// another boot the record counts as lost, except that a finished failover stays finished.
/// </summary>
public sealed class EpochStore(string directory, string diskPath, long lengthBytes) : IEpochStore
{
    private const string RecordName = "epoch";

    private string RecordPath => Path.Combine(directory, RecordName);

    public ValueTask<EpochRecord> ReadAsync() => new(Read());

    public async ValueTask<EpochOverlays?> OpenAsync(long epoch)
    {
        RemoveAllBut(epoch);
        if (!File.Exists(HiddenPath(epoch)) || !File.Exists(ActivePath(epoch)))
        {
            return null;
        }

        Qcow2OpenOptions options = new() { Durability = Qcow2Durability.ProcessDeath };
        Qcow2Image hidden = await Qcow2Image.OpenAsync(ImageFile.Open(HiddenPath(epoch)), options);
        try
        {
            return new(epoch, hidden, await Qcow2Image.OpenAsync(ImageFile.Open(ActivePath(epoch)), options));
        }
        catch
        {
            await hidden.DisposeAsync();
            throw;
        }
    }

    public async ValueTask<EpochOverlays> PrepareAsync(long epoch)
    {
        Directory.CreateDirectory(directory);
        Qcow2Image hidden = await MakeAsync(HiddenPath(epoch), new(diskPath, "raw"));
        try
        {
            return new(epoch, hidden, await MakeAsync(ActivePath(epoch), new(Path.GetFileName(HiddenPath(epoch)), "qcow2")));
        }
        catch
        {
            await hidden.DisposeAsync();
            throw;
        }
    }

    public ValueTask CommitAsync(EpochRecord record)
    {
        Directory.CreateDirectory(directory);
        string temporary = RecordPath + ".new";
        File.WriteAllText(temporary, string.Create(CultureInfo.InvariantCulture, $"{record.Epoch} {record.Phase} {BootId.Current}\n"));
        File.Move(temporary, RecordPath, overwrite: true);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DiscardAsync(EpochOverlays pair)
    {
        await pair.Active.DisposeAsync();
        await pair.Hidden.DisposeAsync();
        File.Delete(ActivePath(pair.Epoch));
        File.Delete(HiddenPath(pair.Epoch));
    }

    /// <summary>Forgets every pair and the record: for a replica that begins anew. Nothing may be open.</summary>
    public void Clear()
    {
        if (Directory.Exists(directory))
        {
            File.Delete(RecordPath);
            RemoveAllBut(epoch: 0);
        }
    }

    public EpochRecord Read()
    {
        string text;
        try
        {
            text = File.ReadAllText(RecordPath);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return EpochRecord.None;
        }

        if (text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is not [var number, var phaseName, var boot]
            || !long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long epoch)
            || !Enum.TryParse(phaseName, out EpochPhase phase))
        {
            throw new InvalidDataException($"{RecordPath}: 'EPOCH PHASE BOOT' expected, not '{text.TrimEnd()}'");
        }

        return boot == BootId.Current || phase == EpochPhase.Done ? new(epoch, phase) : EpochRecord.None;
    }

    /// <summary>Under its name only when it is whole: whatever is called *.qcow2 here, qemu-img can read, whenever this process dies.</summary>
    private async Task<Qcow2Image> MakeAsync(string path, Qcow2Backing backing)
    {
        string unfinished = path + ".new";
        File.Delete(unfinished);
        Qcow2Image image = await Qcow2Image.CreateAsync(ImageFile.Create(unfinished), Qcow2CreateOptions.ForBuffer(lengthBytes, backing));
        File.Move(unfinished, path, overwrite: true);
        return image;
    }

    private void RemoveAllBut(long epoch)
    {
        foreach (string path in Directory.Exists(directory) ? Directory.EnumerateFiles(directory, "*.qcow2*").ToArray() : [])
        {
            if (path != HiddenPath(epoch) && path != ActivePath(epoch))
            {
                File.Delete(path);
            }
        }
    }

    private string HiddenPath(long epoch) => Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"hidden-{epoch}.qcow2"));

    private string ActivePath(long epoch) => Path.Combine(directory, string.Create(CultureInfo.InvariantCulture, $"active-{epoch}.qcow2"));
}
