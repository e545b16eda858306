"""A Kubernetes cluster of three nodes on this machine, made from binaries, for the stories.

Each node has its own network, mount, pid, uts and ipc namespaces, its own container runtime,
kubelet and disk, so that it can lose its power or its network by itself. Nothing can leave the
machine: the namespaces have no route outwards.

``python -m quorate_kubernetes`` does by hand what the stories' session fixture does.
"""
