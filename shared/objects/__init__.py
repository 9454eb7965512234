"""Kubernetes objects as both processes see them: resources, conditions, Events, times. Pure."""
