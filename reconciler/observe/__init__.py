"""Reads: what there is of a storage, in Kubernetes and on its Valkey instances."""
