#!/usr/bin/env bash
# node.sh NAME ADDRESS DISK TOOLS IMAGES KUBECONFIG API-HOST API-PORT MOUNT...
#
# The init of one node, pid 1 of its pid namespace: whatever kills it takes every process of the
# node along, as a loss of power does. Each MOUNT is FOLDER:PLACE; the folder lies on the disk.
set -euo pipefail
name=$1 address=$2 disk=$3 tools=$4 images=$5 kubeconfig=$6 api_host=$7 api_port=$8
shift 8

hostname "$name"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns
for mount in "$@"; do
    mount --bind "$disk/${mount%%:*}" "${mount#*:}"
done
# kubelet passes mounts of a pod on to containers.
mount --make-rshared /

# until_ready SECONDS COMMAND...
until_ready() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "$name: not so in time: $*" >&2; exit 1; }
        sleep 0.1
    done
}
api_answers() { (exec 3<>"/dev/tcp/$api_host/$api_port"); }

containerd --config "$disk/containerd.toml" >"$disk/containerd.log" 2>&1 &
socket=/run/containerd/containerd.sock
until_ready 60 ctr -a "$socket" version

# Once for each disk and image: an image survives the power.
started=$SECONDS
for archive in "$images"/*.tar; do
    mark=$disk/imported-$(basename "$archive")
    [[ -e $mark ]] && continue
    ctr -a "$socket" -n k8s.io images import "$archive" >/dev/null
    touch "$mark"
done
echo "$name: images are in after $((SECONDS - started)) s"

until_ready 60 api_answers
"$tools/kubelet" --config="$disk/kubelet.json" --kubeconfig="$kubeconfig" \
    --hostname-override="$name" --node-ip="$address" --root-dir=/var/lib/kubelet \
    >>"$disk/kubelet.log" 2>&1 &
"$tools/kube-proxy" --config="$disk/proxy.json" >>"$disk/proxy.log" 2>&1 &

# Orphans become ours; reap them. A part that ends is not started anew: then the node is broken,
# and a story should see it.
while true; do
    wait -n || sleep 1
done
