"""What a member offers to its operator over HTTP, and the client of it.

``GET /status`` (JSON, long poll), ``POST /admin/found`` and ``/admin/transfer`` (tracked),
``/livez``, ``/readyz``, ``/startupz`` and ``/metrics``. The runtime implements ``ControlPort``.
"""
