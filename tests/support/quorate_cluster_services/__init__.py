"""ClusterServices for tests: bodies as the API server stores them, at random and by hand."""
