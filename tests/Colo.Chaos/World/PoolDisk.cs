using System.Globalization;
using Colo.Testing;

namespace Colo.Chaos.World;

/// <summary>
/// The disk below a node's pool, which can fail: a file behind nbdkit (errors on demand), made a file again by nbdfuse, a loop device
/// and ext4 on it. No journal, and mounted to go on after errors: a file system that turns itself read-only would need a new mount,
/// which a node's agent could not survive. Without root it is a directory, and cannot fail.
/// </summary>
internal sealed class PoolDisk : IAsyncDisposable
{
    /// <summary>For a volume of 16 MiB, its buffers and a former copy.</summary>
    private const int SizeMebibytes = 192;
    private const int UnmountAttempts = 50;
    private static readonly TimeSpan UnmountInterval = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Stall = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan Flow = TimeSpan.FromMilliseconds(50);

    private readonly string root;
    private RunningTool? server;
    private RunningTool? fuse;
    private string? loop;
    private bool isMounted;

    private PoolDisk(string root) => this.root = root;

    public string Directory => Path.Combine(root, "pool");

    /// <summary>Null: its programs run. The name of one that ended although nobody asked for it, and what it said: then the stage failed, not the product.</summary>
    public string? Crash => new[] { server, fuse }.FirstOrDefault(p => p is { Process.HasExited: true }) is { } ended
        ? $"the disk of {root}: {Path.GetFileName(ended.Process.StartInfo.FileName)} ended by itself with {ended.Process.ExitCode}\n{ended.Error}" : null;

    private string ErrorSwitch => Path.Combine(root, "errors");

    private string FuseDirectory => Path.Combine(root, "fuse");

    private string Ballast => Path.Combine(Directory, "ballast");

    public static async Task<PoolDisk> CreateAsync(string root, bool canFail)
    {
        PoolDisk disk = new(root);
        System.IO.Directory.CreateDirectory(disk.Directory);
        if (canFail)
        {
            try
            {
                await disk.MountAsync();
            }
            catch
            {
                await disk.DisposeAsync();
                throw;
            }
        }

        return disk;
    }

    /// <summary>Nothing is free any more.</summary>
    public async Task<Func<Task>> FillAsync()
    {
        long free = new DriveInfo(Directory).AvailableFreeSpace;
        await Tool.RunAsync("fallocate", "-l", free.ToString(CultureInfo.InvariantCulture), Ballast);

        // What the agent freed meanwhile, and the last part of a block group.
        await Tool.BashAsync($"cat /dev/zero >'{Ballast}.more' 2>/dev/null || true");
        return () =>
        {
            File.Delete(Ballast);
            File.Delete(Ballast + ".more");
            return Task.CompletedTask;
        };
    }

    /// <summary>Every request that reaches the disk is answered EIO.</summary>
    public async Task<Func<Task>> FailAsync()
    {
        await File.WriteAllTextAsync(ErrorSwitch, "");
        return () =>
        {
            File.Delete(ErrorSwitch);
            return Task.CompletedTask;
        };
    }

    /// <summary>No request is answered.</summary>
    public async Task<Func<Task>> HangAsync()
    {
        await Signal.SendAsync(server!.Pid, "STOP");
        return () => Signal.SendAsync(server.Pid, "CONT");
    }

    /// <summary>Requests wait for most of the time.</summary>
    public Task<Func<Task>> SlowAsync()
    {
        CancellationTokenSource end = new();
        Task stalling = Task.Run(async () =>
        {
            while (!end.IsCancellationRequested)
            {
                await Signal.SendAsync(server!.Pid, "STOP");
                await Task.Delay(Stall);
                await Signal.SendAsync(server.Pid, "CONT");
                await Task.Delay(Flow);
            }
        });
        return Task.FromResult<Func<Task>>(async () =>
        {
            await end.CancelAsync();
            await stalling;
            end.Dispose();
        });
    }

    public async ValueTask DisposeAsync()
    {
        File.Delete(ErrorSwitch);
        if (server is { Process.HasExited: false })
        {
            await Signal.SendAsync(server.Pid, "CONT");
        }

        if (isMounted)
        {
            await Tool.RunAsync("umount", Directory);
        }

        if (loop is not null)
        {
            await Tool.RunAsync("losetup", "-d", loop);
        }

        if (fuse is not null)
        {
            // The loop device lets go of its file a moment after it was told to; a file system that stays busy goes with its server.
            for (int attempt = 0; attempt < UnmountAttempts && (await Tool.RunAsync("umount", FuseDirectory)).ExitCode != 0; attempt++)
            {
                await Task.Delay(UnmountInterval);
            }

            await Tool.RunAsync("umount", "--lazy", FuseDirectory);
            await fuse.DisposeAsync();
        }

        if (server is not null)
        {
            await server.DisposeAsync();
        }
    }

    private async Task MountAsync()
    {
        string image = Path.Combine(root, "image"), socket = Path.Combine(root, "n"), file = Path.Combine(FuseDirectory, "disk");
        System.IO.Directory.CreateDirectory(FuseDirectory);
        (await Tool.RunAsync("truncate", "-s", string.Create(CultureInfo.InvariantCulture, $"{SizeMebibytes}M"), image)).EnsureSuccess();
        server = RunningTool.Start("nbdkit", ["-f", "-U", socket, "--filter=error", "file", image, "error=EIO", "error-rate=100%", "error-file=" + ErrorSwitch]);
        await Eventually.TrueAsync(() => File.Exists(socket), "nbdkit listens");
        fuse = RunningTool.Start("nbdfuse", [file, "--unix", socket]);
        await Eventually.TrueAsync(() => File.Exists(file) || fuse.Process.HasExited, "nbdfuse serves");
        (await Tool.RunAsync("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", file)).EnsureSuccess();
        loop = (await Tool.RunAsync("losetup", "-f", "--show", file)).EnsureSuccess().Trim();
        (await Tool.RunAsync("mount", "-o", "errors=continue", loop, Directory)).EnsureSuccess();
        isMounted = true;
    }
}
