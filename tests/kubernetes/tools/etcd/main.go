// Command etcd is the server alone. Debian's etcd 3.4 is too old for this API server: consistent
// reads through the watch cache time out with it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
