#!/bin/sh
# The first process of the virtual machine: makes a system as the tests expect it, and runs each of them.
# Its lines that begin with "vm: " are for the machine's owner, who ends the machine after the last one.
export PATH=/bin KXDNS_BIN=/bin/kxdns RUST_BACKTRACE=0

mkdir -p /dev /etc /proc /run /sys /tmp
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
: >/etc/resolv.conf
for module in /modules/*; do
    insmod "$module" || echo "cannot load $module"
done

read -r release </proc/sys/kernel/osrelease
echo "vm: Linux $release"
for test in /tests/*; do
    # One after the other: an emulated machine is slow, and the tests wait for a limited time.
    "$test" --test-threads=1
    echo "vm: ${test##*/} ended with $?"
done
echo "vm: end"
# The machine must not lose its first process before it is ended.
exec cat
