namespace Colo.PowerCut.Tests;

/// <summary>How much of what was not yet durable the disk has.</summary>
public enum CutKind
{
    /// <summary>No power cut: the processes died, and the page cache did not.</summary>
    ProcessDeath,

    /// <summary>Nothing.</summary>
    NothingMore,

    /// <summary>All that had ended.</summary>
    EverythingMore,

    /// <summary>Any sectors of any change, in any order; any names of unsynced directories, lost or kept; lengths before or after.</summary>
    Torn,
}

/// <summary>What lies on the disks after a cut at one step.</summary>
/// <param name="files">The recording.</param>
/// <param name="step">The last step that happened.</param>
/// <param name="kind">What becomes of the rest.</param>
/// <param name="random">Of a printed seed.</param>
public sealed class CrashImage(RecordedFiles files, int step, CutKind kind, Random random)
{
    public const int SectorBytes = 512;

    private readonly Dictionary<Inode, byte[]> contents = [];

    /// <summary>Files and directories that are there, by path, those above before those below.</summary>
    public SortedDictionary<string, Inode> Entries()
    {
        SortedDictionary<string, Inode> entries = new(StringComparer.Ordinal);
        HashSet<string> lost = new(StringComparer.Ordinal);
        foreach ((string path, List<NameVersion> versions) in files.Names.OrderBy(n => n.Key, StringComparer.Ordinal))
        {
            if (!lost.Contains(Path.GetDirectoryName(path)!) && Choose(versions)?.Target is { } target)
            {
                entries[path] = target;
            }
            else
            {
                lost.Add(path);
            }
        }

        return entries;
    }

    public byte[] Content(Inode file)
    {
        if (!contents.TryGetValue(file, out byte[]? content))
        {
            contents[file] = content = Compose(file);
        }

        return content;
    }

    /// <summary>As the recorded process last saw it; null where it never looked.</summary>
    public long? ChangedTime(Inode file) =>
        file.ChangedTimes.LastOrDefault(t => t.Step <= step) is { Nanoseconds: > 0 } seen ? seen.Nanoseconds : null;

    private NameVersion? Choose(List<NameVersion> versions)
    {
        List<NameVersion> begun = versions.FindAll(v => v.Begin <= step);
        int durable = begun.FindLastIndex(v => v.DurableFrom <= step);
        int ended = begun.FindLastIndex(v => v.End <= step);
        int chosen = kind switch
        {
            CutKind.NothingMore => durable,
            CutKind.Torn => random.Next(durable, begun.Count),
            _ => ended,
        };
        return chosen < 0 ? null : begun[chosen];
    }

    private byte[] Compose(Inode file)
    {
        MemoryStream content = new();
        long lengthAtMost = 0;
        foreach (FileChange change in file.Changes.Where(c => c.Begin <= step))
        {
            bool isWhole = change.DurableFrom <= step || (change.End <= step && kind is CutKind.ProcessDeath or CutKind.EverythingMore);
            lengthAtMost = change.Kind switch
            {
                ChangeKind.SetLength => change.Offset,
                ChangeKind.Write => Math.Max(lengthAtMost, change.Offset + change.Length),
                _ => lengthAtMost,
            };
            if (isWhole)
            {
                Put(content, change, 0, change.Length);
            }
            else if (kind == CutKind.Torn)
            {
                PutSome(content, change);
            }
        }

        // The length may be durable before the data: what is missing reads as zeroes.
        if (kind == CutKind.Torn && lengthAtMost > content.Length && random.Next(2) == 0)
        {
            content.SetLength(lengthAtMost);
        }

        return content.ToArray();
    }

    /// <summary>All, nothing, or some sectors.</summary>
    private void PutSome(MemoryStream content, FileChange change)
    {
        int how = random.Next(4);
        if (how == 0 || (how > 1 && change.Kind == ChangeKind.SetLength && random.Next(2) == 0))
        {
            return;
        }

        if (how == 1 || change.Kind == ChangeKind.SetLength)
        {
            Put(content, change, 0, change.Length);
            return;
        }

        for (long at = 0; at < change.Length;)
        {
            long end = Math.Min(change.Length, ((change.Offset + at) / SectorBytes * SectorBytes) + SectorBytes - change.Offset);
            if (random.Next(2) == 0)
            {
                Put(content, change, at, end - at);
            }

            at = end;
        }
    }

    private static void Put(MemoryStream content, FileChange change, long from, long length)
    {
        switch (change.Kind)
        {
            case ChangeKind.SetLength:
                content.SetLength(change.Offset);
                break;
            case ChangeKind.Write:
                content.Position = change.Offset + from;
                content.Write(change.Data, (int)from, (int)length);
                break;
            case ChangeKind.Zero when change.Offset + from < content.Length:
                // FALLOC_FL_KEEP_SIZE, always.
                int inside = (int)Math.Min(length, content.Length - change.Offset - from);
                content.GetBuffer().AsSpan((int)(change.Offset + from), inside).Clear();
                break;
        }
    }
}
