// Command pause holds the namespaces of a pod, which is all that its sandbox container does.
// Written here so that the image needs neither a registry nor a C compiler.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
