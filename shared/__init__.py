"""What the processes share: the resource, its names, the injection rule, the edge to Kubernetes."""
