"""Runs the levels of tests: those beside each other that leave each other room."""
