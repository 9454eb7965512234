"""Builds every object that belongs to a storage: arguments in, Kubernetes JSON out. Pure."""
