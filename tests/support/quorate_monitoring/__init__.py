"""A real Prometheus for tests, and the queries of the chart's dashboards and alerts."""
