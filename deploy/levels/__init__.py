"""Runs the levels of tests, some of them side by side."""
