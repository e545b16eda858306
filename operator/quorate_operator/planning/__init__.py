"""From what is observed to the next safe step, without Kubernetes, clock or chance."""
