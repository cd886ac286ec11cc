using Colo.Testing;

namespace Colo.EndToEnd.Tests.Guest;

/// <summary>A kernel of the distribution, and an initramfs made for it: busybox, the virtio modules, and init.sh.</summary>
internal sealed record GuestInitramfs(string KernelPath, string InitramfsPath)
{
    /// <summary>Uses the newest kernel of /boot that a cloud image would boot, else the newest.</summary>
    public static async Task<GuestInitramfs> BuildAsync(TempDirectory directory)
    {
        string kernel = Directory.GetFiles("/boot", "vmlinuz-*")
            .OrderByDescending(path => path.Contains("cloud", StringComparison.Ordinal))
            .ThenByDescending(path => path, StringComparer.Ordinal)
            .FirstOrDefault() ?? throw new FileNotFoundException("no /boot/vmlinuz-*: the guest needs a kernel (make deps)");
        string version = Path.GetFileName(kernel)["vmlinuz-".Length..];
        string root = Directory.CreateDirectory(directory.File("initramfs")).FullName;
        string init = Path.Combine(AppContext.BaseDirectory, "Guest", "init.sh");
        string image = directory.File("initramfs.cpio.gz");

        (await Tool.BashAsync(
            $"""
            PATH=$PATH:/usr/sbin:/sbin
            cd {root}
            mkdir -p bin proc dev disk modules
            cp /bin/busybox bin/
            install -m 755 {init} init
            # What modprobe would load, in that order; a driver that is built in is not listed. modinfo unpacks nothing, insmod of
            # busybox takes .ko only, so packed modules are unpacked here.
            for driver in virtio_pci virtio_blk ext4; do
              modprobe -S {version} --show-depends $driver | awk '$1 == "insmod" {"{ print $2 }"}'
            done | awk '!seen[$0]++' | while read -r module; do
              name=$(basename "$module"); name=${"{name%.xz}"}; name=${"{name%.zst}"}
              case $module in
                *.xz) xz -dc "$module" > "modules/$name" ;;
                *.zst) zstd -dcq "$module" > "modules/$name" ;;
                *) cp "$module" "modules/$name" ;;
              esac
              echo "$name" >> modules/order
            done
            find . | cpio --quiet -o -H newc | gzip -1 > {image}
            """)).EnsureSuccess();
        return new GuestInitramfs(kernel, image);
    }
}
