"""What the processes share: the resource, its names, the wiring rule, the edges to Kubernetes and Valkey."""
