"""What each Kubernetes object looks like: one pure builder for each kind."""
