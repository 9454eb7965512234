"""The edge to Kubernetes: client, informers, indexes."""
