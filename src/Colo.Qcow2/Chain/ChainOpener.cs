using Colo.Blocks;

namespace Colo.Qcow2.Chain;

/// <summary>
/// Follows the names of backing files, from the top down. A format is what the header says and never guessed from content: a
/// guest with a raw disk could write a qcow2 header into it and have any file of the host read as its backing file. Where the
/// header says nothing, the image is refused (or, if asked for, what lies below is raw, which is safe).
/// </summary>
internal static class ChainOpener
{
    /// <summary>No sane chain is longer; it also ends a loop that file identity does not show (hard links).</summary>
    private const int MaximumDepth = 64;

    public static async ValueTask<Qcow2Chain> OpenAsync(string path, Qcow2OpenOptions options, bool writableBacking)
    {
        List<IBlockDevice> opened = [];
        try
        {
            List<Qcow2Image> layers = await OpenLayersAsync(path, options, writableBacking, opened);
            IBlockDevice? below = opened.Count > layers.Count ? opened[^1] : null;
            for (int i = layers.Count - 1; i >= 0; i--)
            {
                below = Qcow2Chain.Compose(layers[i], below);
            }

            return (Qcow2Chain)below!;
        }
        catch
        {
            foreach (IBlockDevice device in opened)
            {
                await device.DisposeAsync();
            }

            throw;
        }
    }

    /// <summary>The qcow2 layers; a raw file at the end of the chain is opened behind them.</summary>
    private static async ValueTask<List<Qcow2Image>> OpenLayersAsync(
        string path, Qcow2OpenOptions options, bool writableBacking, List<IBlockDevice> opened)
    {
        List<Qcow2Image> layers = [];
        HashSet<string> seen = new(StringComparer.Ordinal);
        string? next = path;
        string format = "qcow2";
        while (next is not null)
        {
            bool readOnly = options.ReadOnly || !(opened.Count == 0 || (opened.Count == 1 && writableBacking));
            RequireNew(seen, path, next);
            IImageFile file = OpenFile(path, next, readOnly);
            if (format == "raw")
            {
                opened.Add(new RawDevice(file));
                break;
            }

            Qcow2Image image = await Qcow2Image.OpenAsync(file, options with { ReadOnly = readOnly });
            opened.Add(image);
            layers.Add(image);
            format = image.Backing is null ? "" : FormatBelow(image, options);
            next = image.Backing is null ? null : Resolve(image.Path, image.Backing.Path);
        }

        return layers;
    }

    private static void RequireNew(HashSet<string> seen, string top, string path)
    {
        string target = FinalTarget(path);
        if (!seen.Add(target))
        {
            throw new Qcow2Exception(Qcow2Fault.BackingChain, top, Header.HeaderLayout.BackingFileOffset, $"the chain of backing files loops: {path} lies below itself");
        }

        if (seen.Count > MaximumDepth)
        {
            throw new Qcow2Exception(Qcow2Fault.BackingChain, top, Header.HeaderLayout.BackingFileOffset, $"the chain of backing files is deeper than {MaximumDepth}");
        }
    }

    /// <summary>A file that is not there is left for the opening to report.</summary>
    private static string FinalTarget(string path) =>
        File.Exists(path) ? File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? Path.GetFullPath(path) : path;

    private static ImageFile OpenFile(string top, string path, bool readOnly)
    {
        try
        {
            return ImageFile.Open(path, readOnly);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new Qcow2Exception(Qcow2Fault.BackingChain, top, Header.HeaderLayout.BackingFileOffset, $"{path} cannot be opened: {e.Message}", e);
        }
    }

    private static string FormatBelow(Qcow2Image image, Qcow2OpenOptions options) => image.Backing!.Format switch
    {
        "raw" => "raw",
        "qcow2" => "qcow2",
        null when options.UnnamedBackingFormatIsRaw => "raw",
        null => throw new Qcow2Exception(Qcow2Fault.BackingChain, image.Path, Header.HeaderLayout.BackingFileOffset, $"the backing file {image.Backing.Path} is named without its format; name it (`qemu-img rebase -u -F raw|qcow2`) or allow unnamed ones to be raw"),
        string other => throw new Qcow2Exception(Qcow2Fault.BackingChain, image.Path, Header.HeaderLayout.BackingFileOffset, $"the backing file {image.Backing.Path} has the format {other}; raw and qcow2 are served"),
    };

    /// <summary>Relative to the directory of the image that names it. Of QEMU's protocols only file: is a file.</summary>
    private static string Resolve(string imagePath, string name)
    {
        string path = name.StartsWith("file:", StringComparison.Ordinal) ? name["file:".Length..] : name;
        int colon = path.IndexOf(':', StringComparison.Ordinal);
        if (colon >= 0 && !path[..colon].Contains('/', StringComparison.Ordinal))
        {
            throw new Qcow2Exception(Qcow2Fault.BackingChain, imagePath, Header.HeaderLayout.BackingFileOffset, $"the backing file {name} is not a plain file name");
        }

        return Path.Combine(Path.GetDirectoryName(Path.GetFullPath(imagePath))!, path);
    }
}
