using Colo.Fuzz.Targets;
using Colo.Testing;

namespace Colo.Fuzz.Seeds;

/// <summary>Small images of every variant that qemu-img writes, refused ones included.</summary>
internal static class Qcow2Seeds
{
    private static readonly (string Name, string Options)[] Variants =
    [
        ("v3-512", "cluster_size=512"),
        ("v3-4k", "cluster_size=4096"),
        ("v2-512", "cluster_size=512,compat=0.10"),
        ("extended-16k", "cluster_size=16384,extended_l2=on"),
        ("refcount-1", "cluster_size=512,refcount_bits=1"),
        ("refcount-64", "cluster_size=512,refcount_bits=64"),
        ("lazy", "cluster_size=512,lazy_refcounts=on"),
        ("data-file", "cluster_size=512,data_file={0}.data"),
    ];

    public static async Task MakeAsync(string folder, TempDirectory work)
    {
        foreach ((string name, string options) in Variants)
        {
            string path = work.File(name);
            string with = string.Format(System.Globalization.CultureInfo.InvariantCulture, options, path);
            (await Tool.RunAsync("qemu-img", "create", "-f", "qcow2", "-o", with, path, "64k")).EnsureSuccess();
            (await Tool.RunAsync("qemu-io", "-c", "write -P 7 0 1k", "-c", "write -z 4k 8k", "-c", "write -P 9 40000 512", path))
                .EnsureSuccess();
            await SaveAsync(folder, name, path);
        }

        await SpecialAsync(folder, work);
    }

    private static async Task SpecialAsync(string folder, TempDirectory work)
    {
        string path = work.File("special");
        (await Tool.BashAsync($"qemu-img create -q -f raw {work.File("base.raw")} 64k"
            + $" && qemu-img create -q -f qcow2 -o cluster_size=512 -b {work.File("base.raw")} -F raw {path}"
            + $" && qemu-io -c 'write 0 512' {path}")).EnsureSuccess();
        await SaveAsync(folder, "backing", path);
        (await Tool.BashAsync($"qemu-img create -q -f qcow2 -o cluster_size=4096 {path} 64k && qemu-io -c 'write 0 8k' {path}"
            + $" && qemu-img snapshot -c one {path} && qemu-img bitmap --add -g 4096 {path} dirty && qemu-io -c 'write 0 4k' {path}"))
            .EnsureSuccess();
        await SaveAsync(folder, "snapshot-bitmap", path);
        (await Tool.BashAsync($"head -c 16k /dev/zero | tr '\\0' x > {work.File("x.raw")}"
            + $" && qemu-img convert -c -f raw -O qcow2 -o cluster_size=4096 {work.File("x.raw")} {path}")).EnsureSuccess();
        await SaveAsync(folder, "compressed", path);
    }

    private static async Task SaveAsync(string folder, string name, string path) =>
        SeedMaker.Save(folder, Qcow2Target.TargetName, name + ".qcow2", await File.ReadAllBytesAsync(path));
}
