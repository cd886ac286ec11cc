using System.Globalization;
using System.Text.RegularExpressions;

namespace Colo.PowerCut.Tests;

/// <summary>
/// Every file below one directory as the recorded processes changed it: which content and which names are durable from when. A sync of a
/// file makes its content durable, never its name; a sync of a directory makes the names in it durable, never their files' content.
/// </summary>
/// <remarks>Strict POSIX, but for one directory, for which a name goes to disk with the file that it leads to, as journaling file systems
/// have it: .NET has no door to a directory's fsync, and the embedded record is written by a room without P/Invoke.</remarks>
public sealed partial class RecordedFiles
{
    private readonly string[] roots;
    private readonly string journaled;
    private readonly Dictionary<string, Inode> live = new(StringComparer.Ordinal);
    private int inodes;

    /// <param name="directories">Only what lies below one of them counts.</param>
    /// <param name="journaled">The directory for which the exception is made.</param>
    public RecordedFiles(IEnumerable<string> directories, string journaled)
    {
        roots = [.. directories.Append(journaled).Select(d => d + "/")];
        this.journaled = journaled;
    }

    /// <summary>By full path.</summary>
    public Dictionary<string, List<NameVersion>> Names { get; } = new(StringComparer.Ordinal);

    /// <summary>Where a sync of a recorded file or directory began and where it ended, in the order of the ends.</summary>
    public List<FlushPoint> FlushPoints { get; } = [];

    public int Changes { get; private set; }

    public void Apply(SystemCallLog log)
    {
        foreach (SystemCall call in log.Calls)
        {
            Apply(call);
        }
    }

    /// <summary>As if the recorded agents had left out the syncs of some contents, or of some names.</summary>
    public void ForgetSyncs(Func<string, FileChange, bool> contents, Func<string, bool> names)
    {
        foreach ((string path, List<NameVersion> versions) in Names)
        {
            foreach (NameVersion version in versions)
            {
                version.DurableFrom = names(path) ? SystemCall.Never : version.DurableFrom;
                foreach (FileChange change in version.Target?.Changes.Where(c => c.Kind != ChangeKind.SetLength && contents(path, c)) ?? [])
                {
                    change.DurableFrom = SystemCall.Never;
                }
            }
        }
    }

    private void Apply(SystemCall call)
    {
        string[] a = call.Arguments;
        switch (call.Name)
        {
            case "openat" when call.Succeeded && InRoot(StraceLog.Text(a[1])) is { } path:
                Open(path, a[2], call);
                break;
            case "pwrite64" when FileOf(a[0]) is { } file:
                Change(file, call, ChangeKind.Write, Number(a[3]), Taken(StraceLog.Bytes(a[1]), call));
                break;
            case "pwritev2" or "pwritev" when FileOf(a[0]) is { } file:
                FileChange written = Change(file, call, ChangeKind.Write, Number(a[3]), Taken(Gathered(a[1]), call));
                written.DurableFrom = a is [_, _, _, _, var flags] && flags.Contains("RWF_DSYNC", StringComparison.Ordinal) ? call.End : SystemCall.Never;
                break;
            case "ftruncate" when FileOf(a[0]) is { } file && MayHaveHappened(call):
                Change(file, call, ChangeKind.SetLength, Number(a[1]), []);
                break;
            case "fallocate" when FileOf(a[0]) is { } file && MayHaveHappened(call):
                bool empties = a[1].Contains("PUNCH_HOLE", StringComparison.Ordinal) || a[1].Contains("ZERO_RANGE", StringComparison.Ordinal);
                empties.ShouldBeTrue($"fallocate {a[1]} is not modelled");
                Change(file, call, ChangeKind.Zero, Number(a[2]), [], Number(a[3]));
                break;
            case "fsync" or "fdatasync" when call.Succeeded && FileOf(a[0]) is { } file:
                Sync(file, StraceLog.PathOf(a[0])!, call);
                break;
            case "rename" when MayHaveHappened(call) && InRoot(StraceLog.Text(a[0])) is { } from:
                string to = StraceLog.Text(a[1]);
                Name(to, live.GetValueOrDefault(from), call);
                Name(from, null, call);
                break;
            case "unlink" or "rmdir" when MayHaveHappened(call) && InRoot(StraceLog.Text(a[0])) is { } path:
                Name(path, null, call);
                break;
            case "mkdir" when MayHaveHappened(call) && InRoot(StraceLog.Text(a[0])) is { } path:
                Name(path, new Inode(++inodes, isDirectory: true), call);
                break;
            case "statx" when call.Succeeded && FileOf(a[0]) is { } file && Modified().Match(a[^1]) is { Success: true } time:
                file.ChangedTimes.Add((call.End, (Number(time.Groups["s"].Value) * 1_000_000_000) + Number(time.Groups["n"].Value)));
                break;
            default:
                RefuseWhatIsNotModelled(call);
                break;
        }
    }

    private void Open(string path, string flags, SystemCall call)
    {
        if (!live.TryGetValue(path, out Inode? file))
        {
            if (flags.Contains("O_DIRECTORY", StringComparison.Ordinal))
            {
                // There before the recording began.
                live[path] = new Inode(++inodes, isDirectory: true);
                return;
            }

            if (!flags.Contains("O_CREAT", StringComparison.Ordinal))
            {
                return;
            }

            file = new Inode(++inodes, isDirectory: false);
            Name(path, file, call);
        }

        if (flags.Contains("O_TRUNC", StringComparison.Ordinal))
        {
            Change(file, call, ChangeKind.SetLength, 0, []);
        }
    }

    private FileChange Change(Inode file, SystemCall call, ChangeKind kind, long offset, byte[] data, long? length = null)
    {
        FileChange change = new(kind, offset, length ?? data.Length, data, call.Begin, call.End);
        file.Changes.Add(change);
        Changes++;
        return change;
    }

    private void Name(string path, Inode? target, SystemCall call)
    {
        if (!Names.TryGetValue(path, out List<NameVersion>? versions))
        {
            Names[path] = versions = [];
        }

        versions.Add(new(target, call.Begin, call.End));
        if (target is null)
        {
            live.Remove(path);
        }
        else
        {
            live[path] = target;
        }
    }

    private void Sync(Inode file, string path, SystemCall call)
    {
        FlushPoints.AddRange([new(call.Begin, IsEnd: false, path), new(call.End, IsEnd: true, path)]);
        foreach (FileChange change in file.Changes.Where(c => c.End < call.Begin && c.DurableFrom == SystemCall.Never))
        {
            change.DurableFrom = call.End;
        }

        bool takesItsNames = Path.GetDirectoryName(path) == journaled;
        foreach ((string name, List<NameVersion> versions) in Names)
        {
            bool counts = (file.IsDirectory && Path.GetDirectoryName(name) == path)
                || (takesItsNames && Path.GetDirectoryName(name) == journaled && live.GetValueOrDefault(name) == file);
            foreach (NameVersion version in counts ? versions.Where(v => v.End < call.Begin && v.DurableFrom == SystemCall.Never) : [])
            {
                version.DurableFrom = call.End;
            }
        }
    }

    /// <summary>A call that changes a file and that this model does not know would make every result a lie.</summary>
    private void RefuseWhatIsNotModelled(SystemCall call)
    {
        if (call.Name is "openat" or "statx" or "pwrite64" or "pwritev" or "pwritev2" or "fsync" or "fdatasync" or "rename" or "unlink" or "rmdir"
            or "mkdir" or "ftruncate" or "fallocate")
        {
            return;
        }

        bool touches = call.Arguments.Any(a => FileOf(a) is not null || (a.StartsWith('"') && InRoot(StraceLog.Text(a)) is not null));
        (touches && MayHaveHappened(call)).ShouldBeFalse($"{call.Name} changes a recorded file and is not modelled");
    }

    private Inode? FileOf(string descriptor) => StraceLog.PathOf(descriptor) is { } path ? live.GetValueOrDefault(path) : null;

    private string? InRoot(string path) => Array.Exists(roots, r => path.StartsWith(r, StringComparison.Ordinal)) ? path : null;

    private static bool MayHaveHappened(SystemCall call) => call.Succeeded || call.End == SystemCall.Never;

    /// <summary>What of it was written; all of it may have been where nobody was told.</summary>
    private static byte[] Taken(byte[] data, SystemCall call) =>
        call.End == SystemCall.Never ? data : data[..(int)Math.Clamp(call.Result, 0, data.Length)];

    private static byte[] Gathered(string vectors) => [.. Base().Matches(vectors).SelectMany(m => StraceLog.Bytes(m.Groups["data"].Value))];

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"iov_base=(?<data>""(\\x[0-9a-f]{2})*"")", RegexOptions.ExplicitCapture, 10_000)]
    private static partial Regex Base();

    [GeneratedRegex(@"stx_mtime=\{tv_sec=(?<s>-?\d+), tv_nsec=(?<n>\d+)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Modified();
}
