"""What any controller needs to run: leader election, work queue, workers, Events, metrics."""
