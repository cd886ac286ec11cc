#!/bin/busybox sh
# The whole user space of the test guest: writes files with checksums onto the ext4 filesystem of /dev/vda, each synced before
# it is announced; then reads all of them back past the page cache. Every line for the host begins with "GUEST".
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t devtmpfs none /dev
while read -r module; do insmod "/modules/$module"; done < /modules/order

fail() { echo "GUEST failed: $*"; poweroff -f; }

files=16
for word in $(cat /proc/cmdline); do
  case $word in guest.files=*) files=${word#guest.files=} ;; esac
done

tries=0
until [ -b /dev/vda ]; do
  tries=$((tries + 1)); [ $tries -gt 100 ] && fail "no /dev/vda"
  usleep 100000
done
mount -t ext4 /dev/vda /disk || fail "mount"
echo "GUEST mounted"

# What an earlier boot of this guest left must be there still.
if [ -e /disk/count ]; then
  last=$(cat /disk/count); n=1
  while [ $n -le "$last" ]; do
    (cd /disk && sha256sum -c "file.$n.sha256" >/dev/null 2>&1) || fail "file $n of the earlier boot"
    n=$((n + 1))
  done
  echo "GUEST found $last files of an earlier boot intact"
else
  last=0
fi

n=$((last + 1)); end=$((last + files))
while [ $n -le $end ]; do
  dd if=/dev/urandom of="/disk/file.$n" bs=64k count=8 conv=fsync 2>/dev/null || fail "write $n"
  (cd /disk && sha256sum "file.$n" > "file.$n.sha256") || fail "checksum $n"
  echo $n > /disk/count
  sync
  echo "GUEST wrote $n"
  n=$((n + 1))
done

echo 3 > /proc/sys/vm/drop_caches
n=1
while [ $n -le $end ]; do
  (cd /disk && sha256sum -c "file.$n.sha256" >/dev/null 2>&1) || fail "file $n differs"
  n=$((n + 1))
done
umount /disk || fail "umount"
echo "GUEST verified $end files"
poweroff -f
