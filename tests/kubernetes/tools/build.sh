#!/usr/bin/env bash
# build.sh DIRECTORY: every binary of the test cluster, from the Go module proxy and go.sum alone.
#
# One `go build` for all of them, because they share most of their packages. Static and without
# debug information: 6 minutes on two cores with empty caches, 25 s when the caches know all but
# one of our own mains.
set -euo pipefail
out=$(realpath -m "$1")
cd "$(dirname "${BASH_SOURCE[0]}")"

# The version of Kubernetes that go.mod names is what the servers say of themselves.
kubernetes=$(awk '$1 == "k8s.io/kubernetes" {print $2}' go.mod)
helm=$(awk '$1 == "helm.sh/helm/v3" {print $2}' go.mod)
wanted=$(awk '$1 == "go" {print $2}' go.mod)
# Where the distribution's Go is older than 1.21, this one is fetched.
toolchain=1.24.4

command -v go >/dev/null || { echo "missing: Go; as root: apt-get install -y golang-go" >&2; exit 1; }
have=$(go version | sed -E 's/^go version go([0-9.]+).*/\1/')
older() { [[ $1 != "$2" && $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

# From 1.21 on the command fetches the toolchain that a go.mod asks for by itself; an older one
# can still download it, since toolchains are modules, whose files are not executable.
if older "$have" 1.21; then
    echo "go $have is too old for go.mod (go $wanted): fetching go $toolchain as a module" >&2
    platform=$(go env GOOS)-$(go env GOARCH)
    module=golang.org/toolchain@v0.0.1-go$toolchain.$platform
    place=$(cd / && go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    [[ -d $place ]] || { echo "the module proxy did not give $module" >&2; exit 1; }
    chmod -R u+w "$place"
    chmod +x "$place"/bin/* "$place"/pkg/tool/*/*
    export PATH="$place/bin:$PATH"
fi

mkdir -p "$out"
export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -mod=readonly"
version=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"${kubernetes#v}"
go build -gcflags=all=-dwarf=false -o "$out/" \
    -ldflags "-s -w -X $version.gitVersion=$kubernetes -X $version.gitMajor=$major \
        -X $version.gitMinor=$minor -X $version.gitTreeState=clean \
        -X helm.sh/helm/v3/internal/version.version=$helm" \
    k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl} \
    helm.sh/helm/v3/cmd/helm ./coredns ./etcd ./pause
