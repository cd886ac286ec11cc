using System.Globalization;
using System.Text;
using Colo.Linux;
using Colo.Qcow2;
using Colo.Replication;

namespace Colo.Agent.Volumes;

/// <summary>
/// The pairs of buffers as qcow2 files in one directory: hidden-N.qcow2 over the disk, active-N.qcow2 over hidden-N, so that any qemu-img
/// can read the last checkpoint; and a checksummed line that says which pair counts. They outlive the process, not the machine: after
/// another boot the record counts as lost, except that a finished failover stays finished.
/// </summary>
public sealed class EpochStore : IEpochStore
{
    private const string RecordName = "epoch";
    private const string RecordKind = "epoch";

    private readonly string directory;
    private readonly string diskPath;
    private readonly long lengthBytes;
    private readonly string boot;
    private readonly AtomicFile file;
    private EpochPhase? written;

    /// <param name="directory">Of this replica's buffers alone; made when it is needed.</param>
    /// <param name="diskPath">What hidden lies over.</param>
    /// <param name="lengthBytes">Of the disk.</param>
    /// <param name="boot">Under which a record counts; the running one's by default.</param>
    public EpochStore(string directory, string diskPath, long lengthBytes, string? boot = null)
    {
        (this.directory, this.diskPath, this.lengthBytes) = (directory, diskPath, lengthBytes);
        this.boot = boot ?? BootId.Current;
        file = new AtomicFile(Path.Combine(directory, RecordName), RecordKind, older: static text => Parse(text.Span) is null ? null : text.ToArray());
    }

    public ValueTask<EpochRecord> ReadAsync() => new(Read());

    public async ValueTask<EpochOverlays?> OpenAsync(long epoch)
    {
        RemoveAllBut(epoch);
        if (!File.Exists(HiddenPath(epoch)) || !File.Exists(ActivePath(epoch)))
        {
            return null;
        }

        Qcow2Image hidden = await OpenAsync(HiddenPath(epoch));
        try
        {
            return new(epoch, hidden, await OpenAsync(ActivePath(epoch)));
        }
        catch
        {
            await hidden.DisposeAsync();
            throw;
        }
    }

    public async ValueTask<EpochOverlays> PrepareAsync(long epoch)
    {
        Directories.Create(directory);
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

    /// <summary>From one checkpoint to the next the name is not synced: after a power cut both of its records are void. A change of phase
    /// is, because a Done that another boot finds there counts.</summary>
    public ValueTask CommitAsync(EpochRecord record)
    {
        Directories.Create(directory);
        string text = string.Create(CultureInfo.InvariantCulture, $"{record.Epoch} {record.Phase} {boot}\n");
        file.Write(Encoding.ASCII.GetBytes(text), syncName: record.Phase != written);
        written = record.Phase;
        return ValueTask.CompletedTask;
    }

    public async ValueTask DiscardAsync(EpochOverlays pair)
    {
        await pair.Active.DisposeAsync();
        await pair.Hidden.DisposeAsync();
        File.Delete(ActivePath(pair.Epoch));
        File.Delete(HiddenPath(pair.Epoch));
    }

    /// <summary>Forgets every pair and the record, durably: for a replica that begins anew. Nothing may be open.</summary>
    public void Clear()
    {
        file.Delete();
        written = null;
        RemoveAllBut(epoch: 0);
    }

    /// <exception cref="StateFileException">torn, of a newer version, or not to be read: nobody can say which pair counts.</exception>
    public EpochRecord Read()
    {
        if (file.Read() is not { } content)
        {
            return EpochRecord.None;
        }

        (EpochRecord record, string of) = Parse(content.Bytes.Span)
            ?? throw new StateFileException(StateFileError.Torn, file.Path, "holds no 'EPOCH PHASE BOOT'");
        return of == boot || record.Phase == EpochPhase.Done ? record : EpochRecord.None;
    }

    private static (EpochRecord Record, string Boot)? Parse(ReadOnlySpan<byte> text) =>
        Encoding.ASCII.GetString(text).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries) is [var number, var name, var of]
        && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long epoch)
        && Enum.TryParse(name, out EpochPhase phase) && phase.ToString() == name
            ? (new(epoch, phase), of)
            : null;

    /// <summary>Under its name only when it is whole: whatever is called *.qcow2 here, qemu-img can read, whenever this process dies.</summary>
    private async Task<Qcow2Image> MakeAsync(string path, Qcow2Backing backing)
    {
        string unfinished = path + ".new";
        File.Delete(unfinished);
        Qcow2Image image = await Told(() => Qcow2Image.CreateAsync(ImageFile.Create(unfinished), Qcow2CreateOptions.ForBuffer(lengthBytes, backing)).AsTask());
        File.Move(unfinished, path, overwrite: true);
        return image;
    }

    private static Task<Qcow2Image> OpenAsync(string path) =>
        Told(() => Qcow2Image.OpenAsync(ImageFile.Open(path), new() { Durability = Qcow2Durability.ProcessDeath }).AsTask());

    /// <summary>In the words that <see cref="IEpochStore"/> promises: whoever uses the pairs knows no image format.</summary>
    private static async Task<Qcow2Image> Told(Func<Task<Qcow2Image>> call)
    {
        try
        {
            return await call();
        }
        catch (Qcow2Exception e)
        {
            StateFileError error = e.Fault == Qcow2Fault.Medium ? StateFileError.Io : StateFileError.Torn;
            string cause = e.Message.StartsWith(e.Path + ": ", StringComparison.Ordinal) ? e.Message[(e.Path.Length + 2)..] : e.Message;
            throw new StateFileException(
                error,
                e.Path,
                error == StateFileError.Io ? cause
                    : $"is no sound buffer: {cause}; it is not used. Prepare under a higher term begins with new ones, or Delete the replica and fill it again",
                e);
        }
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
