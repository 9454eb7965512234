"""Decides when to create, replace and retire the webhook's certificates. Pure."""
