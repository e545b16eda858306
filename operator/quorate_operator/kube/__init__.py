"""The only package that knows the Kubernetes client: calls, reading, and doing."""
