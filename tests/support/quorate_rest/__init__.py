"""Plain requests to an API server: what a test means is what is sent."""
