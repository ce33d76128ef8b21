#!/bin/busybox sh
# /init of the test guest: the host's root file system, read-only by 9p, under a layer in memory.
# What the guest writes is gone when it stops, except in the two folders that the host lends it.

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

while read -r module; do
    insmod "/modules/$module" || echo "guest: $module was not loaded"
done </modules/order

share=trans=virtio,version=9p2000.L,msize=512000
stop() {
    echo "guest: $1"
    sync
    poweroff -f
}

# cache=loose: the host's files are taken not to change while the guest runs.
mount -t 9p -o "$share,cache=loose,ro" host /host || stop "no root file system"
mount -t tmpfs tmpfs /layer
mkdir /layer/upper /layer/work /layer/memory /layer/memory-work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /newroot || stop "no overlay"
for tree in proc sys dev; do
    mount --move "/$tree" "/newroot/$tree"
done
ln -s /proc/self/fd /newroot/dev/fd
mkdir -p /newroot/dev/shm /newroot/dev/pts /newroot/mnt/job /newroot/mnt/results
# The tests keep their folders in the host's memory where there is room; the guest's own /dev would hide them.
mount -t overlay -o lowerdir=/host/dev/shm,upperdir=/layer/memory,workdir=/layer/memory-work overlay \
    /newroot/dev/shm || mount -t tmpfs tmpfs /newroot/dev/shm
mount -t devpts devpts /newroot/dev/pts
# The lent folders are written through, and may be mapped into memory (SQLite does that).
for folder in job results; do
    mount -t 9p -o "$share,cache=mmap" "$folder" "/newroot/mnt/$folder" || stop "no folder $folder"
done
ip link set lo up

job=/newroot/mnt/job
chroot /newroot /bin/sh /mnt/job/start </newroot/dev/null >"$job/output" 2>&1
echo $? >"$job/exit_status"
stop "done"
