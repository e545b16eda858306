"""Client sessions over TCP: ingress in, egress out, redirects, credit, expiry."""
