"""Decides how far a rotation of passwords is, and what its next step is. Pure."""
