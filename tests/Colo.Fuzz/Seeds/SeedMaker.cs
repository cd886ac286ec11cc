using Colo.Testing;

namespace Colo.Fuzz.Seeds;

/// <summary>
/// Makes the corpus anew from real programs: their bytes to our server, their servers' bytes to our client, images that qemu-img wrote.
/// Small files, kept in the repository; this runs when a protocol feature or a format variant is added.
/// </summary>
internal static class SeedMaker
{
    public static async Task<int> RunAsync(string folder)
    {
        using TempDirectory work = new(onTmpfs: true);
        await ServerSeeds.MakeAsync(folder, work);
        await ClientSeeds.MakeAsync(folder, work);
        await Qcow2Seeds.MakeAsync(folder, work);
        await AgentSeeds.MakeAsync(folder, work);
        foreach (string target in Targets.FuzzTargets.Names)
        {
            FileInfo[] files = [.. new DirectoryInfo(Path.Combine(folder, target)).GetFiles()];
            Console.WriteLine($"{target}: {files.Length} files, {files.Sum(f => f.Length)} bytes");
        }

        return 0;
    }

    public static void Save(string folder, string target, string name, byte[] bytes)
    {
        string path = Path.Combine(folder, target);
        Directory.CreateDirectory(path);
        File.WriteAllBytes(Path.Combine(path, name), bytes);
    }
}
