#!/bin/sh
# First process of a node, already in namespaces of its own: gives the node
# its own view of the file system and then holds the namespaces. All of it vanishes with this process.
#
# usage: node-init.sh NAME DIRECTORY PROGRAMS GROUPS
#   DIRECTORY  the node's disk; has etc, lib, log, run and tmp; seen inside as /run/node
#   PROGRAMS   directory of the Kubernetes binary; seen inside as /run/programs
#   GROUPS     the node's control group in every hierarchy; this process is in it, and its namespace begins there
set -eu
name=$1 directory=$2 programs=$3 groups=$4

# The node's groups are all that it sees: kubelets trip over the containers of others.
for group in $groups; do
    hierarchy=${group%/*/*}
    mount --no-mtab --bind "$group" "$hierarchy"
    echo 0 >"$hierarchy/system/cgroup.procs"
    if [ -e "$hierarchy/cgroup.controllers" ]; then
        for controller in $(cat "$hierarchy/cgroup.controllers"); do
            echo "+$controller" >"$hierarchy/cgroup.subtree_control"
        done
    fi
done

# Sockets, locks and pod network namespaces are the node's own. Both directories are bound before they are hidden,
# wherever the cache is.
mount --no-mtab -t tmpfs -o mode=755 tmpfs "$directory/run"
mkdir "$directory/run/node" "$directory/run/programs" "$directory/run/sysctl"
mount --no-mtab --bind "$directory" "$directory/run/node"
mount --no-mtab --bind "$programs" "$directory/run/programs"
mount --no-mtab --move "$directory/run" /run
mount --no-mtab --bind /run/node/lib /var/lib
mount --no-mtab --bind /run/node/log /var/log
mount --no-mtab --bind /run/node/tmp /tmp
mount --no-mtab -t proc proc /proc

# The kubelet would set these for the whole machine; it finds them set already, for this node alone.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    path=${setting%=*}
    file=/run/sysctl/$(echo "$path" | tr / .)
    echo "${setting#*=}" >"$file"
    mount --no-mtab --bind "$file" "/proc/sys/$path"
done
echo 1 >/proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/ipv6 ]; then echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; fi
echo "$name" >/proc/sys/kernel/hostname

# Nothing is ever written outside the node's own directories.
mount --no-mtab -o remount,bind,ro /
# Containers may see mounts that are made after they started (mount propagation, as on any node).
mount --no-mtab --make-rshared /

# With SIGCHLD ignored, the kernel reaps orphans by itself; a shell's trap would not outlast exec.
exec env --ignore-signal=CHLD sleep infinity
