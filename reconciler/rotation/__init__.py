"""Decides how far a rotation of passwords is, and what comes next. Pure."""
