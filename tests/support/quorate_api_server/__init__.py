"""A real kube-apiserver with its etcd on loopback: no controllers, no nodes, three seconds."""
