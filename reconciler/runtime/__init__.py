"""Runs controllers: leader election, work queue, workers, Events, metrics."""
