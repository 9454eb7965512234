"""Decides what to do about a storage, and what its status says. Pure."""
