"""Writes: carries out a plan, one idempotent action after the other."""
