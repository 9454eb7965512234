"""Decides how the webhook's certificates come, are replaced and go. Pure."""
