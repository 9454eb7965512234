"""What the processes share: the resource, its names, the injection rule, the edges to Kubernetes and Valkey."""
