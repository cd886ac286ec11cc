using Colo.Testing.Local;

namespace Colo.Testing.Kube;

/// <summary>
/// Kubernetes' own programs, as eng/kube.sh finds or builds them; asked once a process. The first call on a new machine may take as
/// long as Kubernetes takes to compile (`make test` calls the script before any test, so that no test waits for that).
/// </summary>
public static class KubePrograms
{
    /// <summary>Above a cold build on a busy two-core machine; the script itself says what it is doing.</summary>
    private static readonly TimeSpan BuildTimeout = TimeSpan.FromMinutes(40);

    private static readonly Lazy<Task<string>> Folder = new(FindFolderAsync);

    /// <summary>kube-apiserver, etcd, kubectl, helm.</summary>
    /// <exception cref="InvalidOperationException">the script failed; its own words.</exception>
    /// <exception cref="FileNotFoundException">it did not bring this program.</exception>
    public static async Task<string> PathOfAsync(string program)
    {
        string path = Path.Combine(await Folder.Value, program);
        return File.Exists(path) ? path : throw new FileNotFoundException($"eng/kube.sh brought no {program}", path);
    }

    private static async Task<string> FindFolderAsync()
    {
        ToolResult found = await Tool.RunAsync(Path.Combine(Built.Repository, "eng", "kube.sh"), [], BuildTimeout);
        return found.EnsureSuccess().Trim();
    }
}
