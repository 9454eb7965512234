"""Decides which instance is primary, and what keeps the others in step with it. Pure."""
