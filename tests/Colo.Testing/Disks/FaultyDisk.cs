using System.Globalization;

namespace Colo.Testing.Disks;

/// <summary>
/// The disk below a node's pool, at ROOT/pool, which can fail: a file system of our own (FUSE) that shows a tmpfs of limited size and lets
/// its requests through, or not. What it answers it has done, so that after an error the files are what they were: the file system above a
/// real bad disk may lose more (tests/Colo.PowerCut.Tests loses it). Without root it is a directory, and cannot fail.
/// </summary>
public sealed class FaultyDisk : IAsyncDisposable
{
    /// <summary>For a volume of 16 MiB, its buffers and a former copy.</summary>
    private const int SizeMebibytes = 192;
    private static readonly TimeSpan Stall = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan Flow = TimeSpan.FromMilliseconds(50);

    private readonly string root;
    private readonly DiskFaults faults = new();
    private FuseMount? mount;
    private bool isTmpfsMounted;
    private int failing;
    private int hanging;

    private FaultyDisk(string root) => this.root = root;

    /// <summary>The pool, as the agent has it.</summary>
    public string Directory => Path.Combine(root, "pool");

    /// <summary>What is on the disk: the pool, whatever fault is on now.</summary>
    public string Below => mount is null ? Directory : Path.Combine(root, "below");

    /// <summary>Null: it is served. Otherwise the stage failed, not the product.</summary>
    public string? Crash => mount?.Crash;

    private string Ballast => Path.Combine(Below, "ballast");

    /// <param name="root">A directory of the node's own.</param>
    /// <param name="run">The name of the run, as the mounts' source: who finds them later can tell whose they are.</param>
    /// <param name="canFail">False: a plain directory.</param>
    public static async Task<FaultyDisk> CreateAsync(string root, string run, bool canFail)
    {
        FaultyDisk disk = new(root);
        System.IO.Directory.CreateDirectory(disk.Directory);
        if (canFail)
        {
            try
            {
                await disk.MountAsync(run);
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
        // Two at a time: the later one finds nothing left to take, and the first to end gives all back.
        string ballast = Ballast + Guid.NewGuid().ToString("N");
        await Tool.BashAsync($"cat /dev/zero >'{ballast}' 2>/dev/null || true");
        return () =>
        {
            // Emptied first: where an agent has looked at it, the kernel remembers the deleted file, and it would keep its space.
            new FileStream(ballast, FileMode.Truncate).Dispose();
            File.Delete(ballast);
            return Task.CompletedTask;
        };
    }

    /// <summary>Every request that reaches the disk is answered EIO.</summary>
    public Task<Func<Task>> FailAsync()
    {
        faults.Fails = Interlocked.Increment(ref failing) > 0;
        return Task.FromResult<Func<Task>>(() =>
        {
            faults.Fails = Interlocked.Decrement(ref failing) > 0;
            return Task.CompletedTask;
        });
    }

    /// <summary>Only flushes are answered EIO.</summary>
    public Task<Func<Task>> FailFlushesAsync()
    {
        faults.FailsFlushes = true;
        return Task.FromResult<Func<Task>>(() =>
        {
            faults.FailsFlushes = false;
            return Task.CompletedTask;
        });
    }

    /// <summary>No request is answered.</summary>
    public Task<Func<Task>> HangAsync()
    {
        Hang();
        return Task.FromResult<Func<Task>>(() =>
        {
            GoOn();
            return Task.CompletedTask;
        });
    }

    /// <summary>Requests wait for most of the time.</summary>
    public Task<Func<Task>> SlowAsync()
    {
        CancellationTokenSource end = new();
        Task stalling = Task.Run(async () =>
        {
            while (!end.IsCancellationRequested)
            {
                Hang();
                await Task.Delay(Stall);
                GoOn();
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
        (faults.Fails, faults.FailsFlushes) = (false, false);
        faults.GoOn();
        if (mount is not null)
        {
            await mount.DisposeAsync();
        }

        if (isTmpfsMounted)
        {
            await Tool.RunAsync("umount", "--lazy", Path.Combine(root, "below"));
        }

        faults.Dispose();
    }

    private void Hang()
    {
        lock (faults)
        {
            hanging++;
            faults.Hang();
        }
    }

    private void GoOn()
    {
        lock (faults)
        {
            if (--hanging == 0)
            {
                faults.GoOn();
            }
        }
    }

    private async Task MountAsync(string run)
    {
        string below = Path.Combine(root, "below");
        System.IO.Directory.CreateDirectory(below);
        string size = string.Create(CultureInfo.InvariantCulture, $"size={SizeMebibytes}m");
        (await Tool.RunAsync("mount", "-t", "tmpfs", "-o", size, run, below)).EnsureSuccess();
        isTmpfsMounted = true;
        mount = FuseMount.Create(run, Directory, below, faults);
    }
}
